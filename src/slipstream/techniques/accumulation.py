"""Gradient accumulation."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, scaled_peak

_BATCHES = 4


def _edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
    larger = plan.edit({"batch.accumulation": _BATCHES * plan.batch.accumulation})
    return larger.edit(scaled_peak(plan, larger))


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' lets schedules count micro-batches"
    examples = _BATCHES * plan.batch.accumulation * plan.batch.size
    if examples > task.num_train:
        return f"an update would need {examples} examples and there are {task.num_train}"
    return None


TECHNIQUE = Technique(
    name="accumulation",
    title="Gradient accumulation",
    summary=(
        "The gradients of several batches make one update, with the learning rate scaled along "
        "as for a larger batch."
    ),
    formula="g = sum over k batches of num_examples_i * g_i / sum of num_examples_i",
    helps="Where a larger batch would help but does not fit into memory.",
    hurts=(
        "Where the larger batch fits: one large batch is faster than several small ones. "
        "BatchNormalization still sees the small ones."
    ),
    cost=(
        "None for each example; an update waits for several batches, and one set of gradients "
        "is kept in memory."
    ),
    reference=(
        "Ott, Edunov, Grangier and Auli, Scaling neural machine translation, 2018, arXiv:1806.00187"
    ),
    keys=("batch.accumulation",),
    edit=_edit,
    applies=_applies,
    after=("optimizer", "learning_rate", "batch_size", "own_loop"),
    search={"batch.accumulation": Choice((1, 2, 4, 8))},
    rescale=scaled_peak,
)
