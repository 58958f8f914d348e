"""The window of BatchNormalization's moving averages."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Range, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.architecture.freeze_batch_norm:
        return "the plan has architecture.freeze_batch_norm"
    if "BatchNormalization" not in task.layers:
        return "the model has no BatchNormalization layer"
    return None


TECHNIQUE = Technique(
    name="batch_norm_momentum",
    title="Momentum of BatchNormalization",
    summary=(
        "Evaluation normalizes by averages over about 1 / (1 - momentum) updates: 100 with "
        "Keras' default of 0.99, 10 with 0.9."
    ),
    formula="average = momentum * average + (1 - momentum) * statistic of the batch",
    helps=(
        "Runs of few updates: the averages lag behind weights that move fast, and a net that "
        "trains well is judged badly."
    ),
    hurts="Small batches, whose statistics are noisy and want averaging over many updates.",
    cost="None.",
    reference=(
        "Ioffe and Szegedy, Batch normalization, 2015, arXiv:1502.03167; "
        "PyTorch documentation, torch.nn.BatchNorm2d (momentum=0.1)"
    ),
    keys=("architecture.batch_norm_momentum",),
    edit=set_keys({"architecture.batch_norm_momentum": 0.9}),
    applies=_applies,
    search={"architecture.batch_norm_momentum": Range(0.8, 0.99)},
)
