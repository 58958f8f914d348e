"""Lists of JAX arrays that stand for a model's variables, and what a traced program holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

# What Keras' JAX trainer calls a state: trainable, non-trainable, optimizer and metric variables.
KerasState = tuple[list[Any], list[Any], list[Any], list[Any]]


def place_of(variables: Sequence[Any], wanted: Any) -> int:
    """Return where a variable stands among others."""
    return next(place for place, variable in enumerate(variables) if variable is wanted)


def values_of(variables: Sequence[Any]) -> list[Any]:
    """Return the arrays that variables hold."""
    return [variable.value for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Give variables other arrays."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def fetched(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as NumPy arrays."""
    # Through NumPy's view of the buffer: half the time of float() or jax.device_get.
    return {name: np.asarray(value) for name, value in values.items()}


def copied(values: Sequence[Any]) -> list[Any]:
    """Return copies: what is given away must not be what somebody else holds."""
    return [jnp.array(value) for value in values]


def distinct(state: KerasState) -> KerasState:
    """Return the state with copies in place of arrays that stand in it twice.

    An array can be given away once only.
    """
    seen: set[int] = set()

    def once(value: Any) -> Any:
        if id(value) in seen:
            return jnp.array(value)
        seen.add(id(value))
        return value

    trainable, others, optimizer, metrics = ([once(value) for value in group] for group in state)
    return trainable, others, optimizer, metrics


def convolves(jaxpr: Any) -> bool:
    """Whether there is a convolution in a program, or in the programs within it."""
    return any(
        equation.primitive.name == "conv_general_dilated"
        or any(convolves(inner) for inner in _programs_within(equation))
        for equation in jaxpr.eqns
    )


def _programs_within(equation: Any) -> Iterator[Any]:
    for parameter in equation.params.values():
        for part in parameter if isinstance(parameter, tuple | list) else (parameter,):
            jaxpr = getattr(part, "jaxpr", part)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr
