"""What techniques that rewrite a model share."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Applies

LINEAR = ("Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D")
RECURRENT = ("LSTM", "GRU", "SimpleRNN")


def num_layers(task: TaskFacts, *classes: str) -> int:
    """Return how many layers of these classes the model has."""
    return sum(task.layers.get(name, 0) for name in classes)


def needs_layers(at_least: int, *classes: str, why: str) -> Applies:
    """Return that a technique applies where the model has so many layers of these classes."""

    def applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
        return None if num_layers(task, *classes) >= at_least else why

    return applies
