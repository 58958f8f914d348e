"""Frozen BatchNormalization."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if "BatchNormalization" not in task.layers:
        return "the model has no BatchNormalization layer"
    section = plan.architecture
    if section.batch_norm or section.zero_gamma or section.batch_norm_momentum != "as_model":
        return "the plan has architecture.batch_norm, .zero_gamma or .batch_norm_momentum"
    return None


TECHNIQUE = Technique(
    name="frozen_batch_norm",
    title="Frozen BatchNormalization",
    summary=(
        "Every BatchNormalization layer keeps its averages, scale and shift, and normalizes by "
        "them in training too."
    ),
    formula="y = gamma * (x - average mean) / sqrt(average variance) + beta,  all of them constant",
    helps="Fine-tuning with small batches, whose statistics would spoil the averages.",
    hurts="Training from scratch: the averages are those of nothing.",
    cost="None; less arithmetic than with the batch's statistics.",
    reference="Keras documentation, Transfer learning and fine-tuning",
    keys=("architecture.freeze_batch_norm",),
    edit=set_keys({"architecture.freeze_batch_norm": True}),
    applies=_applies,
    clashes=("batch_norm", "zero_gamma", "batch_norm_momentum"),
    search={"architecture.freeze_batch_norm": Choice((False, True))},
)
