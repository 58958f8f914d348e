"""Larger batch."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, scaled_peak

# An epoch of fewer updates than this leaves a short run too few steps to learn from.
_FEWEST_UPDATES = 8


def _larger(plan: Plan, task: TaskFacts) -> int:
    most = max(1, task.num_train // (_FEWEST_UPDATES * plan.batch.accumulation))
    return min(4 * plan.batch.size, 1 << (most.bit_length() - 1))


def _edit(plan: Plan, task: TaskFacts) -> Plan:
    larger = plan.edit({"batch.size": _larger(plan, task)})
    return larger.edit(scaled_peak(plan, larger))


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if _larger(plan, task) <= plan.batch.size:
        return (
            f"{task.num_train} training examples leave an epoch fewer than {_FEWEST_UPDATES} "
            f"updates with batches above {plan.batch.size}"
        )
    return None


TECHNIQUE = Technique(
    name="batch_size",
    title="Larger batch",
    summary=(
        "Four times the examples per update, with the learning rate scaled along: by the ratio "
        "for SGD, by its square root for the others."
    ),
    formula="rate = rate * k (sgd) or rate * sqrt(k), where k = examples per update after / before",
    helps=(
        "Small nets, whose steps cost the same for more examples, and any hardware that is not "
        "yet full."
    ),
    hurts=(
        "Past the critical batch size each example teaches less, and the time to a target "
        "grows again."
    ),
    cost="Memory for activations grows with the batch.",
    reference=(
        "McCandlish et al., An empirical model of large-batch training, 2018, "
        "arXiv:1812.06162; Goyal et al., 2017, arXiv:1706.02677; Malladi et al., 2022, "
        "arXiv:2205.10287"
    ),
    keys=("batch.size",),
    edit=_edit,
    applies=_applies,
    after=("optimizer", "learning_rate"),
    search={"batch.size": Choice((16, 32, 64, 128, 256, 512))},
    rescale=scaled_peak,
)
