"""BatchNormalization after linear layers."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._architecture import LINEAR, num_layers
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.architecture.freeze_batch_norm:
        return "the plan has architecture.freeze_batch_norm"
    if num_layers(task, *LINEAR) < 2:
        return "the model has no hidden Dense or convolutional layer"
    return None


TECHNIQUE = Technique(
    name="batch_norm",
    title="Insert BatchNormalization",
    summary=(
        "Puts BatchNormalization between the linear part and the activation of every Dense layer "
        "and convolution that none follows yet, outputs and gates left alone; the bias becomes "
        "its beta."
    ),
    formula="activation(W x + b)  ->  activation(gamma * (W x - mean) / sqrt(variance) + beta)",
    helps="Deep nets without normalization: they bear a rate several times as high.",
    hurts="Small batches, recurrent nets, and nets that normalize in another way already.",
    cost="Memory for one more activation a layer, and two passes over it; inference can fold it.",
    reference="Ioffe and Szegedy, Batch normalization, 2015, arXiv:1502.03167",
    keys=("architecture.batch_norm",),
    edit=set_keys({"architecture.batch_norm": True}),
    applies=_applies,
    clashes=("frozen_batch_norm",),
    search={"architecture.batch_norm": Choice((False, True))},
)
