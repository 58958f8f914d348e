"""Leave residual branches of a model that exists out, at random, while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from slipstream.rewrite.branches import branch_place
from slipstream.rewrite.dropout import leaves_out_examples, set_rate
from slipstream.rewrite.graph import producer
from slipstream.rewrite.rewiring import rewired, steps


class Branch(NamedTuple):
    """A residual branch.

    Args:
        key: The call that adds it to its shortcut.
        place: Its place among the two that are added.
        tensor: What it yields.
    """

    key: tuple[int, int]
    place: int
    tensor: Any


def drop_branches(model: Any, rate: float) -> tuple[Any, list[float]]:
    """Leave each residual branch out for some of the examples of every training step.

    y = shortcut + branch * keep / (1 - rate * l / L),  keep drawn for each example

    The l-th of L branches is left out at a rate that grows linearly to the last one's. It is Keras'
    own Dropout, with one draw for all that a branch yields for an example; a branch that ends in
    one gets the rate. Huang et al. scale in inference instead, and leave out whole batches.

    Args:
        model: A model that `can_be_rewired`.
        rate: The rate of the last branch, below 1.

    Returns:
        The model of the same layers, or the model itself where it has no residual branches, and
        the rates, from the first branch to the last.

    Source: Huang et al., 2016, "Deep networks with stochastic depth" (arXiv:1603.09382).
    """
    branches = residual_branches(model)
    rates = [rate * number / len(branches) for number in range(1, len(branches) + 1)]
    changes = {}
    for branch, own_rate in zip(branches, rates, strict=True):
        last = producer(branch.tensor).operation
        if leaves_out_examples(last):
            set_rate(last, own_rate)
        else:
            changes[branch.key] = with_branch_dropped(branch.place, own_rate)
    return (rewired(model, changes) if changes else model), rates


def residual_branches(model: Any) -> list[Branch]:
    """Return the residual branches of a functional or Sequential model, from inputs to outputs."""
    found = []
    for step in steps(model):
        place = branch_place(step.node)
        if place is not None:
            found.append(Branch(step.key, place, step.node.input_tensors[place]))
    return found


def with_branch_dropped(place: int, rate: float) -> Callable[..., Any]:
    """Return how to make the call that adds a branch, with the branch left out at a rate."""

    def call(operation: Any, args: Any, kwargs: Any) -> Any:
        tensors = [
            t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)
        ]
        branch = tensors[place]
        dropout = keras.layers.Dropout(
            rate,
            noise_shape=(None, *[1] * (len(branch.shape) - 1)),
            name=f"{operation.name}_stochastic_depth",
        )
        dropped = dropout(branch)
        args, kwargs = keras.tree.map_structure(
            lambda part: dropped if part is branch else part, (args, kwargs)
        )
        return operation(*args, **kwargs)

    return call
