"""Early stopping."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    return None if task.num_validation else "there is no validation split to watch"


TECHNIQUE = Technique(
    name="early_stopping",
    title="Early stopping",
    summary=(
        "The run ends when the watched metric has not become better for some evaluations, and "
        "keeps its best weights."
    ),
    formula="stop when evaluation - best_evaluation >= patience",
    helps="Runs whose useful length is not known.",
    hurts="Decaying rates, whose gain comes at the end; a short patience on a noisy metric.",
    cost="None; a run may end before a late improvement.",
    reference="Prechelt, Early stopping - but when?, 1998, doi:10.1007/3-540-49430-8_3",
    keys=("duration.patience", "duration.restore_best"),
    edit=set_keys({"duration.patience": 5, "duration.restore_best": True}),
    applies=_applies,
    search={"duration.patience": Choice((0, 3, 5, 10))},
)
