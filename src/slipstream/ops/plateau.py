"""Lowering the learning rate where the watched value gets no better: a factor on any schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from slipstream.plan import parts


@final
class Plateau:
    """A factor on the learning rate, multiplied down after evaluations that brought nothing better.

    After `plateau_patience` evaluations in a row without a value that is better than the best by
    more than `plateau_min_delta`: factor = max(plateau_floor, factor * plateau_factor). The
    `plateau_cooldown` evaluations after that do not count. A value that is not a number is never
    better.

    Args:
        schedule: The schedule of a plan.
        mode: Whether smaller or larger values are better.

    Attributes:
        factor: What the schedule's rates are to be multiplied by from now on.

    Example:
        >>> plateau = Plateau(parts.Schedule(plateau_patience=2, plateau_factor=0.1), "min")
        >>> [plateau.observe(value) for value in (1.0, 0.5, 0.6, 0.5, 0.4)]
        [False, False, False, True, False]
        >>> plateau.factor
        0.1

    Source: keras.callbacks.ReduceLROnPlateau, whose rule it is; that raises where the rate is a
    schedule.
    """

    def __init__(self, schedule: parts.Schedule, mode: Literal["min", "max"]) -> None:
        self._schedule = schedule
        self._sign = 1.0 if mode == "min" else -1.0
        self.factor = 1.0
        self._best = math.inf
        self._waited = 0
        self._resting = 0

    def observe(self, value: float) -> bool:
        """Take note of an evaluation; returns whether the factor was lowered."""
        schedule = self._schedule
        if self._resting:
            self._resting -= 1
            self._waited = 0
        signed = self._sign * value
        if signed < self._best - schedule.plateau_min_delta:
            self._best = signed
            self._waited = 0
            return False
        if self._resting:
            return False
        self._waited += 1
        lowered = max(schedule.plateau_floor, self.factor * schedule.plateau_factor)
        if self._waited < schedule.plateau_patience or lowered >= self.factor:
            return False
        self.factor = lowered
        self._resting = schedule.plateau_cooldown
        self._waited = 0
        return True

    def note(self, update: int) -> str:
        """Return what a record says of a factor that was lowered after so many updates."""
        return (
            f"No better value for {self._schedule.plateau_patience} evaluations: after update "
            f"{update} the schedule's rates are multiplied by {self.factor:g}."
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that it knows, for a training that is to be gone on with."""
        return {
            "factor": np.asarray(self.factor),
            "best": np.asarray(self._best),
            "waited": np.asarray(self._waited),
            "resting": np.asarray(self._resting),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Know what `to_arrays` returned; nothing where there is nothing."""
        self.factor = float(arrays.get("factor", 1.0))
        self._best = float(arrays.get("best", math.inf))
        self._waited = int(arrays.get("waited", 0))
        self._resting = int(arrays.get("resting", 0))
