"""Residual branches that begin with nothing."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._architecture import num_layers
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.architecture.freeze_batch_norm:
        return "the plan has architecture.freeze_batch_norm"
    if plan.architecture.residual == "plain" or num_layers(task, "Add"):
        return None
    return "the model has no residual connections (layers that add)"


TECHNIQUE = Technique(
    name="zero_gamma",
    title="Zero-gamma",
    summary=(
        "The last BatchNormalization of every residual branch begins with gamma 0, or the last "
        "kernel where there is none: each block begins as the identity."
    ),
    formula="y = x + f(x),  f = 0 at first",
    helps="Deep residual nets at large batches and rates.",
    hurts="Weights that were trained before: their branches are cut off.",
    cost="None.",
    reference=(
        "Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677; Zhang, Dauphin and "
        "Ma, Fixup initialization, 2019, arXiv:1901.09321"
    ),
    keys=("architecture.zero_gamma",),
    edit=set_keys({"architecture.zero_gamma": True}),
    applies=_applies,
    after=("residual",),
    clashes=("frozen_batch_norm",),
    search={"architecture.zero_gamma": Choice((False, True))},
)
