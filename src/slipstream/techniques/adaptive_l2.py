"""Penalties that follow the gap between training and validation loss."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if not task.num_validation:
        return "there is no validation split to compare with"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' has penalties that stay what they are"
    if plan.regularization.l1 == 0 and plan.regularization.l2 == 0:
        return "regularization.l1 and regularization.l2 are 0: there is no penalty to adapt"
    return None


TECHNIQUE = Technique(
    name="adaptive_l2",
    title="Adaptive L2 and L1",
    summary=(
        "After each evaluation the penalties grow where training is ahead of validation by more "
        "than it is to be, and shrink where it is ahead by less. Training examples are judged for "
        "it as validation examples are: by the task's loss, without dropout and penalty."
    ),
    formula=(
        "factor = clip(factor * step ** clip(gap / aim - 1, -1, 1), 1 / limit, limit);  "
        "gap = (val_loss - loss) / max(|val_loss|, |loss|)"
    ),
    helps="Long runs that begin to overfit at some point, where no fixed penalty is right.",
    hurts=(
        "Short runs with few evaluations, and small validation splits, whose noise moves the "
        "factor. Choices that are made by the validation split see it once more."
    ),
    cost="Each evaluation takes twice its time: as many training examples are judged.",
    reference=(
        "Integral control of the penalty by the gap is Slipstream's own; MacKay, A practical "
        "Bayesian framework for backpropagation networks, 1992, doi:10.1162/neco.1992.4.3.448, "
        "adapts it while training, too"
    ),
    keys=(
        "regularization.adaptive_gap",
        "regularization.adaptive_step",
        "regularization.adaptive_limit",
    ),
    edit=set_keys({"regularization.adaptive_gap": 0.1}),
    applies=_applies,
    after=("l1", "l2"),
    search={"regularization.adaptive_gap": Choice((0.0, 0.05, 0.1, 0.2))},
)
