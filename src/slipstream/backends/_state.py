"""Everything that a training holds between two updates, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends.seeding import random_sources, restore_random_sources
from slipstream.data.order import Position
from slipstream.errors import RecordError

Values = tuple[NDArray[Any], ...]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The complete state of a training: what it needs to go on as if nothing had happened.

    Variables stand by position, which is the same for the same model and plan. Names are not:
    Keras numbers layers through all models of a process. Every array has its variable's own
    dtype, bfloat16 (of the package ml_dtypes) included.

    Args:
        weights: The model's weights, moving averages of layers included.
        optimizer: Slots, averaged weights, summed gradients, count of updates, learning rate.
        loss_scale: Scale and step counter of loss scaling; empty where there is none.
        seeds: The states of the layers' seed generators, and the factor on the penalties.
        metrics: The states of the loss trackers and metrics since their last reset.
        sources: The states of the process's own random sources, by name.
        position: Where in the data it stands.
        plateau: What the watched values have done to the learning rate, by name; empty where
            nothing watches them.
    """

    weights: Values
    optimizer: Values
    loss_scale: Values
    seeds: Values
    metrics: Values
    sources: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    position: Position = field(default_factory=Position)
    plateau: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, NDArray[Any]]:
        """What a training changes in the model and its optimizer, by group and place."""
        groups = ("weights", "optimizer", "loss_scale", "seeds")
        return {
            f"{group}/{place}": value
            for group in groups
            for place, value in enumerate(getattr(self, group))
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as one flat mapping from names to arrays."""
        position = {
            name: np.asarray(value, np.int64) for name, value in vars(self.position).items()
        }
        return {
            **self.variables,
            **{f"metrics/{place}": value for place, value in enumerate(self.metrics)},
            **{f"sources/{name}": value for name, value in self.sources.items()},
            **{f"position/{name}": value for name, value in position.items()},
            **{f"plateau/{name}": value for name, value in self.plateau.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TrainingState:
        """Return the state that `to_arrays` spelt out."""
        groups: dict[str, dict[str, NDArray[Any]]] = {part.name: {} for part in fields(cls)}
        for name, value in arrays.items():
            group, _, place = name.partition("/")
            groups[group][place] = value
        sources, position = groups.pop("sources"), groups.pop("position")
        plateau = groups.pop("plateau")
        return cls(
            **{
                name: tuple(group[str(place)] for place in range(len(group)))
                for name, group in groups.items()
            },
            sources=sources,
            position=Position(**{name: int(value) for name, value in position.items()}),
            plateau=plateau,
        )


def state_of(model: Any, position: Position | None = None) -> TrainingState:
    """Return a copy of the state of a compiled, built model, and of the process's random sources.

    Args:
        model: The model; its program has been synchronized.
        position: Where in the data it stands; at the beginning if None.
    """
    values = {
        group: tuple(_value(variable) for variable in variables)
        for group, variables in _variables(model).items()
    }
    return TrainingState(
        **values, sources=random_sources(), position=position or Position(), plateau={}
    )


def restore_state(model: Any, state: TrainingState) -> None:
    """Give the model's variables and the random sources the values that `state_of` returned.

    The model's program is to `resume` afterwards.

    Args:
        model: A compiled, built model of the same making.
        state: The state.

    Raises:
        RecordError: It is the state of another model, or of another way to train it. Nothing was
            changed.
    """
    groups = _variables(model)
    for group, variables in groups.items():
        _refuse_others(group, variables, getattr(state, group))
    for group, variables in groups.items():
        for variable, value in zip(variables, getattr(state, group), strict=True):
            variable.assign(value)
    restore_random_sources(state.sources)


def not_finite(model: Any) -> set[str]:
    """Return which variables of a model and its optimizer hold a NaN or an infinity.

    Args:
        model: A compiled, built model; its program has been synchronized.

    Returns:
        Their groups and places, as in `TrainingState`.
    """
    groups = _variables(model)
    return {
        f"{group}/{place}"
        for group in ("weights", "optimizer")
        for place, variable in enumerate(groups[group])
        if "float" in str(variable.dtype) and not _is_finite(variable)
    }


def _is_finite(variable: Any) -> bool:
    # Keras hands out what lies in memory, without a copy where that can be.
    value = np.asarray(keras.ops.convert_to_numpy(variable.value))
    return bool(np.isfinite(value).all())


def _variables(model: Any) -> dict[str, list[Any]]:
    """Return all variables that a training changes, each once."""
    weights = list(model.weights)
    known = {id(variable) for variable in weights}
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", None)
    in_inner = {id(variable) for variable in (inner.variables if inner else [])}
    return {
        "weights": weights,
        "optimizer": list(inner.variables if inner else optimizer.variables),
        "loss_scale": [v for v in optimizer.variables if inner and id(v) not in in_inner],
        "seeds": [variable for variable in model.variables if id(variable) not in known],
        "metrics": list(model.metrics_variables),
    }


def _value(variable: Any) -> NDArray[Any]:
    value = np.array(keras.ops.convert_to_numpy(variable.value))
    # PyTorch has no bfloat16 in NumPy to give: Keras hands it out in float32.
    return value.astype(_dtype(variable), copy=False)


def _dtype(variable: Any) -> np.dtype[Any]:
    # Keras has taught NumPy the name bfloat16.
    dtype: np.dtype[Any] = np.dtype(variable.dtype)
    return dtype


def _refuse_others(group: str, variables: Sequence[Any], values: Values) -> None:
    wanted = [(tuple(variable.shape), _dtype(variable)) for variable in variables]
    came = [(value.shape, value.dtype) for value in values]
    if wanted == came:
        return
    if len(wanted) != len(came):
        expected, got = f"{len(wanted)} arrays of {group}", f"{len(came)}"
    else:
        place = next(i for i, pair in enumerate(zip(wanted, came, strict=True)) if len({*pair}) > 1)
        (shape, dtype), (other_shape, other_dtype) = wanted[place], came[place]
        expected = f"an array {dtype}{list(shape)} at {group}/{place}"
        got = f"{other_dtype}{list(other_shape)}"
    raise RecordError(
        f"the state of a training of this model as this plan says: {expected}",
        got,
        "Go on with the task and the plan that the state was handed out with.",
        code="SLP-619",
    )
