"""Stochastic depth."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if "Add" not in task.layers:
        return "the model adds nothing, so that it has no residual branches"
    return None


TECHNIQUE = Technique(
    name="stochastic_depth",
    title="Stochastic depth",
    summary=(
        "While training, each example passes some residual branches by and takes their shortcuts "
        "alone: the last branch at this rate, those before it at linearly smaller ones. Branches "
        "are found where two tensors of equal shape are added of which one came by a shortcut."
    ),
    formula=(
        "y = shortcut + branch * keep / (1 - rate * l / L),  keep drawn for each example, "
        "l-th of L branches"
    ),
    helps="Deep residual nets and Transformers that overfit.",
    hurts="Shallow nets, in which each branch does something that no other does.",
    cost="One product for each number that a branch yields; branches are computed all the same.",
    reference="Huang et al., Deep networks with stochastic depth, 2016, arXiv:1603.09382",
    keys=("regularization.stochastic_depth",),
    edit=set_keys({"regularization.stochastic_depth": 0.2}),
    applies=_applies,
    search={"regularization.stochastic_depth": Choice((0.0, 0.1, 0.2, 0.5))},
)
