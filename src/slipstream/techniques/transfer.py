"""Two phases: a frozen base, then fine-tuning."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' has one phase"
    if sum(task.layers.values()) < 3:
        return "the model has no base and head to tell apart"
    return None


TECHNIQUE = Technique(
    name="transfer",
    title="Transfer in two phases",
    summary=(
        "First the head alone learns, on a frozen base; then all of it at a lower rate, with the "
        "base's BatchNormalization kept frozen. The optimizer begins anew with the second phase."
    ),
    formula=(
        "rate = schedule, updates of the head alone;  then rate = transfer.rate * schedule, "
        "updates of all"
    ),
    helps="A base that was trained on other data: a head that knows nothing would spoil it.",
    hurts="Training from scratch: a frozen random base teaches the head nothing.",
    cost="The first phase is cheaper than training; the step is compiled twice.",
    reference=(
        "Keras documentation, Transfer learning and fine-tuning; Kumar et al., Fine-tuning can "
        "distort pretrained features, 2022, arXiv:2202.10054"
    ),
    keys=("transfer.frozen", "transfer.rate", "transfer.base", "transfer.batch_norm"),
    edit=set_keys({"transfer.frozen": 0.3}),
    applies=_applies,
    after=("own_loop",),
    search={
        "transfer.frozen": Choice((0.0, 0.2, 0.5, 1.0)),
        "transfer.rate": Choice((0.03, 0.1, 0.3)),
    },
)
