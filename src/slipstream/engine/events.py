"""What the engine tells its observers: snapshots, never live objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.plan import Plan
from slipstream.record import Point, Record, Signal
from slipstream.signals import Layers


@dataclass(frozen=True)
class Started:
    """The model is built; training begins."""

    plan: Plan
    total_updates: int
    updates_per_epoch: int


@dataclass(frozen=True)
class Resumed:
    """The run goes on where an earlier sitting left it.

    Args:
        update: Updates made before.
        epoch: The same in epochs.
        skipped: A sentence for each newer checkpoint that is damaged.
    """

    update: int
    epoch: float
    skipped: tuple[str, ...] = ()


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
class Signalled:
    """The run shows something that somebody should know."""

    signal: Signal


@dataclass(frozen=True, eq=False)
class Looked:
    """The layers were looked into; the arrays are there where histograms are wanted.

    Args:
        layers: What was seen, in numbers.
        weights: The trainable variables, by path.
        gradients: Their gradients, by path.
        activations: What layers put out, by name.
    """

    layers: Layers
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gradients: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    activations: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pictured:
    """Images that were classified wrongly, the worst first.

    Args:
        step: Updates made so far.
        epoch: The same in epochs.
        images: Shape (wrong ones shown, height, width, 1 or 3).
        captions: What each is, and what it was taken for.
        num_wrong: How many were wrong.
        num_seen: Of how many.
    """

    step: int
    epoch: float
    images: NDArray[np.uint8]
    captions: tuple[str, ...]
    num_wrong: int
    num_seen: int


@dataclass(frozen=True)
class Finished:
    """The run is over and its record written."""

    record: Record


Event = Started | Resumed | Progress | Evaluated | Signalled | Looked | Pictured | Finished
# True asks the engine to stop after the current evaluation or block.
Observer = Callable[[Event], bool | None]
