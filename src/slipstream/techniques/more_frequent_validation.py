"""More frequent validation."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' validates once an epoch"
    return None if task.num_validation else "there is no validation split to evaluate on"


TECHNIQUE = Technique(
    name="more_frequent_validation",
    title="More frequent validation",
    summary=(
        "Validates several times in each epoch, so that the best weights are caught and a "
        "target is seen sooner."
    ),
    formula="evaluations = epochs * evaluations_per_epoch",
    helps="Long epochs that reach their best somewhere in the middle.",
    hurts="Large validation splits: each evaluation costs time that trains nothing.",
    cost="Each evaluation is a forward pass over the validation split.",
    reference="Prechelt, Early stopping - but when?, 1998, doi:10.1007/3-540-49430-8_3",
    keys=("duration.evaluations_per_epoch",),
    edit=set_keys({"duration.evaluations_per_epoch": 4}),
    applies=_applies,
    after=("own_loop",),
    search={"duration.evaluations_per_epoch": Choice((1, 2, 4))},
)
