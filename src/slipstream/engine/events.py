"""What the engine tells its observers: snapshots, never live objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slipstream.plan import Plan
from slipstream.record import Point, Record


@dataclass(frozen=True)
class Started:
    """The model is built; training begins."""

    plan: Plan
    total_updates: int
    updates_per_epoch: int


@dataclass(frozen=True)
class Progress:
    """Some more updates were handed to the backend. Seconds are the clock's."""

    update: int
    total_updates: int
    epoch: float
    seconds: float
    examples_per_second: float


@dataclass(frozen=True)
class Evaluated:
    """The validation split was evaluated."""

    point: Point
    is_best: bool
    learning_rate: float


@dataclass(frozen=True)
class Finished:
    """The run is over and its record written."""

    record: Record


Event = Started | Progress | Evaluated | Finished
# True asks the engine to stop after the current evaluation or block.
Observer = Callable[[Event], bool | None]
