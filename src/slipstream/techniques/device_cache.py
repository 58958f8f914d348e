"""Data on the device."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.plan.augmentation import needs_host
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys
from slipstream.techniques._files import CACHE_KEYS, found_cache


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' feeds batches from the host"
    if needs_host(plan):
        return "augmentation.rand_ops and augmentation.augmix run on the host"
    if plan.augmentation.place == "host":
        return "augmentation.place = 'host' changes images before they get to the device"
    return None


TECHNIQUE = Technique(
    name="device_cache",
    title="Data on the device",
    summary="The training set rests where the model is, and the step gathers its own batches.",
    formula="none: the same batches, gathered where they are needed",
    helps="Data sets that fit into the device's memory: no batch is copied in each step.",
    hurts="Data that do not fit. Augmentation happens in the step then.",
    cost="Device memory for the whole training set.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=("data.cache",),
    edit=set_keys({"data.cache": "device"}),
    applies=_applies,
    after=("own_loop",),
    clashes=("rand_augment", "augmix"),
    search={"data.cache": Choice(("host", "device"))},
    one_of="cache",
    along=CACHE_KEYS,
    found=found_cache("device"),
)
