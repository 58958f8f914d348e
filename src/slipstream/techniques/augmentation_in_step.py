"""Augmentation in the step."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.plan.augmentation import augments, needs_host
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if not augments(plan):
        return "augmentation has nothing switched on"
    if needs_host(plan):
        return "augmentation.rand_ops and augmentation.augmix run on the host"
    return None


TECHNIQUE = Technique(
    name="augmentation_in_step",
    title="Augmentation in the step",
    summary=(
        "Images are changed where the model is, within the step, by the same formulas and the same "
        "draws as on the host."
    ),
    formula="none: the same numbers as on the host, computed elsewhere",
    helps="Hosts that are slower than their device.",
    hurts="CUDA graphs: such steps are not recorded.",
    cost="The pixels' way through the device's memory, in the step, in place of the host's time.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=("augmentation.place",),
    edit=set_keys({"augmentation.place": "device"}),
    applies=_applies,
    after=(
        *("own_loop", "shift", "flip", "flip_vertical", "resized_crop", "random_erasing"),
        *("mixup", "cutmix"),
    ),
    clashes=("rand_augment", "augmix"),
    search={"augmentation.place": Choice(("auto", "host", "device"))},
)
