"""A lower rate for the layers that a pattern names."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if not plan.groups.pattern:
        return "groups.pattern names no variables; which ones to slow down is for you to say"
    return None


TECHNIQUE = Technique(
    name="slow_layers",
    title="Lower rate for named layers",
    summary=(
        "Variables whose path groups.pattern is found in learn at a fraction of the rate: layers "
        "that were trained before, or embeddings. A rate of 0 freezes them."
    ),
    formula="rate of a variable = groups.rate * rate, where the pattern is found in its path",
    helps="Fine-tuning: new layers learn fast and pre-trained ones keep what they know.",
    hurts="Training from scratch, where it only holds layers back.",
    cost="One multiplication for each array.",
    reference=(
        "Howard and Ruder, Universal language model fine-tuning for text classification, 2018, "
        "arXiv:1801.06146"
    ),
    keys=("groups.rate",),
    edit=set_keys({"groups.rate": 0.1}),
    applies=_applies,
    after=("optimizer", "learning_rate"),
    search={"groups.rate": Choice((0.0, 0.03, 0.1, 0.3, 1.0))},
    along=("groups.pattern",),
)
