"""A task whose training says that a moment has come, and makes it last.

TORTURE_MOMENT names the call, which one of them, and for how many seconds, like "train 3 0.5";
TORTURE_MARK the file that is written when it has come.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import slipstream
from slipstream.data.splits import Data, Split


def build_model() -> Any:
    """Return a small net with what has a state."""
    import keras

    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def load_data() -> Data:
    """Return 64 examples to train on, and 32 to judge by."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 96)
    x = draw.normal(size=(96, 6)).astype("float32")
    x[np.arange(96), y] += 1.0
    return Data(Split(x[:64], y[:64]), Split(x[64:], y[64:]))


class Counter:
    """A callback with a state: counts evaluations, and adds up what they gave."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros(2)

    def __call__(self, event: Any) -> None:
        """Take one event."""
        from slipstream.engine import Evaluated

        if isinstance(event, Evaluated):
            self._count += 1
            values = event.point.values
            self._sums = self._sums + np.array([values["val_loss"], values["val_accuracy"]])

    def state(self) -> dict[str, Any]:
        """Return what it knows."""
        return {"count": self._count, "sums": self._sums}

    def restore(self, state: dict[str, Any]) -> None:
        """Know what `state` returned."""
        self._count, self._sums = state["count"], state["sums"]


task = slipstream.Task(
    model=build_model,
    data=load_data,
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    name="moments",
    callbacks=lambda: [Counter()],
)


class Moment:
    """Counts calls, and makes the one that was asked for last."""

    def __init__(self, asked_for: str, mark: str) -> None:
        self.name, number, seconds = asked_for.split()
        self._number, self._seconds = int(number), float(seconds)
        self._mark = Path(mark)
        self._calls = 0

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that counts."""

        def counted(*given: Any, **named: Any) -> Any:
            self._calls += 1
            if self._calls == self._number:
                beside = self._mark.with_suffix(".part")
                beside.write_text(str(os.getpid()))
                beside.replace(self._mark)
                time.sleep(self._seconds)
            return call(*given, **named)

        return counted


def arm(moment: Moment) -> None:
    """Watch the calls of this process's training."""
    from slipstream.checkpoint import CheckpointStore

    # The engine has a function of that name too.
    train = importlib.import_module("slipstream.engine.train")
    if moment.name == "save":
        CheckpointStore.save = moment.watched(CheckpointStore.save)  # type: ignore[method-assign]
        return
    open_for = train.open_for

    def opened(*given: Any) -> Any:
        program = open_for(*given)
        setattr(program, moment.name, moment.watched(getattr(program, moment.name)))
        return program

    train.open_for = opened  # type: ignore[attr-defined]


if os.environ.get("TORTURE_MOMENT"):
    arm(Moment(os.environ["TORTURE_MOMENT"], os.environ["TORTURE_MARK"]))
