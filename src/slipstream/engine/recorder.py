"""Keeps what happens in a run: points, the best weights, the clock, and who listens."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from slipstream.better import Mode, is_better, meets
from slipstream.engine.events import Evaluated, Event, Looked, Observer, Signalled
from slipstream.errors import TaskError
from slipstream.plan import Plan
from slipstream.record import METRICS_FILE, Point, Signal, point_to_line
from slipstream.signals import Layers, found_at_the_end, found_in_layers, is_new
from slipstream.task import Task


class Clock:
    """Seconds since the start, and how many of them went where."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.spent: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return time.perf_counter() - self._start

    def add(self, what: str, seconds: float) -> None:
        """Book seconds under a name."""
        self.spent[what] = self.spent.get(what, 0.0) + seconds


class Recorder:
    """Collects evaluations of one run, writes each to metrics.jsonl, and decides when to stop.

    Args:
        task: The task: monitor, target and what is better.
        plan: The plan: patience, and whether the target ends the run.
        folder: The run's folder, or None to write nothing.
        observers: Called with every event; True asks to stop.
    """

    def __init__(
        self, task: Task, plan: Plan, folder: Path | None, observers: Sequence[Observer]
    ) -> None:
        self._task = task
        self._plan = plan
        self._observers = observers
        self._file: TextIO | None = None
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / METRICS_FILE).open("w", encoding="utf-8")
        self._since_best = 0
        self._looks: list[Layers] = []
        self.signals: list[Signal] = []
        self.clock = Clock()
        self.points: list[Point] = []
        self.best: Point | None = None
        self.best_weights: list[NDArray[Any]] | None = None
        self.stop: str | None = None

    def tell(self, event: Event) -> None:
        """Hand an event to all observers; any of them may ask to stop."""
        for observer in self._observers:
            if observer(event):
                self.stop = self.stop or "stopped_early"

    def evaluated(self, point: Point, model: Any, learning_rate: float) -> None:
        """Note one evaluation; the model holds the weights that were evaluated."""
        self.points.append(point)
        if self._file is not None:
            self._file.write(point_to_line(point))
            self._file.flush()
        value = self.watched(point)
        is_best = self._is_best(value)
        if is_best:
            self.best = point
            self._since_best = 0
            if self._plan.duration.restore_best:
                self.best_weights = [np.array(variable) for variable in model.weights]
        else:
            self._since_best += 1
        self._decide(value)
        self.tell(Evaluated(point, is_best, learning_rate))
        for signal in found_at_the_end(self.points, self._task.monitor, self._task.better):
            self.signal(signal)

    def looked(self, seen: Looked) -> None:
        """Note one look into the layers."""
        self._looks.append(seen.layers)
        self.tell(seen)
        for signal in found_in_layers(self._looks):
            self.signal(signal)

    def signal(self, signal: Signal) -> None:
        """Note what the run shows, if it was not told before."""
        if is_new(signal, self.signals):
            self.signals.append(signal)
            self.tell(Signalled(signal))

    def close(self) -> None:
        """Sync and close metrics.jsonl."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    @property
    def mode(self) -> Mode:
        """Whether smaller or larger values of what is watched are better."""
        return self._task.better

    def watched(self, point: Point) -> float:
        """Return the value of the metric that the task watches; raises TaskError without one."""
        monitor = self._task.monitor
        if monitor not in point.values:
            raise TaskError(
                f"the watched metric '{monitor}' among what is evaluated",
                ", ".join(name for name in point.values if name.startswith("val_")),
                "Set Task(monitor=...) to one of these.",
            )
        return point.values[monitor]

    def _is_best(self, value: float) -> bool:
        # A NaN is never the best value, the first one included.
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return is_better(value, self.best.values[self._task.monitor], self._task.better)

    def _decide(self, value: float) -> None:
        duration, target = self._plan.duration, self._task.target
        mode = self._task.better
        if duration.stop_at_target and target is not None and meets(value, target, mode):
            self.stop = "reached_target"
        if duration.patience and self._since_best >= duration.patience:
            self.stop = self.stop or "stopped_early"
