"""Keeps what happens in a run: points, the best weights, the clock, and who listens."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from slipstream.better import Mode, is_better, meets
from slipstream.engine.events import Evaluated, Event, Looked, Observer, Progress, Signalled
from slipstream.errors import TaskError
from slipstream.files import write_text
from slipstream.plan import Plan
from slipstream.record import METRICS_FILE, Point, Signal, point_to_line
from slipstream.signals import Layers, found_at_the_end, found_in_layers, is_new
from slipstream.task import Task

LOOK: TypeAdapter[Layers] = TypeAdapter(Layers)


class Clock:
    """Seconds since the start, and how many of them went where."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first_calls: dict[str, float] = {}
        self.spent: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return time.perf_counter() - self._start

    def add(self, what: str, seconds: float) -> None:
        """Book seconds under a name."""
        self.spent[what] = self.spent.get(what, 0.0) + seconds

    def add_call(self, what: str, kind: str, seconds: float) -> None:
        """Book a call into a program under a name; the first one of a kind compiles.

        What the second call takes, the first took too for its work: only the rest is compilation.
        """
        if kind not in self._first_calls:
            self._first_calls[kind] = seconds
            self.add("compile", seconds)
            return
        work = min(self._first_calls[kind], seconds)
        self._first_calls[kind] = 0.0
        self.add("compile", -work)
        self.add(what, seconds + work)

    def compile_anew(self) -> None:
        """Note that the next call of each kind compiles."""
        self._first_calls.clear()

    def go_on(self, seconds: float, spent: Mapping[str, float]) -> None:
        """Count what a run took before this sitting: what it takes here comes on top of it."""
        self._start -= seconds
        for what, before in spent.items():
            self.add(what, before)


class Progressing(Protocol):
    """A loop that trains: examples seen, updates made, and updates in all."""

    examples: int
    update: int

    @property
    def total_updates(self) -> int:
        """How many updates the run has in all."""
        ...


class Recorder:
    """Collects evaluations of one run, writes each to metrics.jsonl, and decides when to stop.

    Args:
        task: The task: monitor, target and what is better.
        plan: The plan: patience, and whether the target ends the run.
        folder: The run's folder, or None to write nothing.
        observers: Called with every event; True asks to stop.
        goes_on: Whether the folder holds points of this run, which `restore` will tell.

    Attributes:
        decided: What the plan ended the run with, where it has.
    """

    def __init__(
        self,
        task: Task,
        plan: Plan,
        folder: Path | None,
        observers: Sequence[Observer],
        goes_on: bool = False,
    ) -> None:
        self._task = task
        self._plan = plan
        self.observers = observers
        self._file: TextIO | None = None
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / METRICS_FILE
            self._file = file.open("a" if goes_on else "w", encoding="utf-8")
        self._since_best = 0
        self._looks: list[Layers] = []
        self.signals: list[Signal] = []
        self.clock = Clock()
        self.points: list[Point] = []
        self.best: Point | None = None
        self.best_weights: list[NDArray[Any]] | None = None
        self.decided: str | None = None
        self._is_asked = False

    @property
    def stop(self) -> str | None:
        """The outcome with which the run is to end now, by the plan or an observer."""
        return self.decided or ("stopped_early" if self._is_asked else None)

    def tell(self, event: Event) -> None:
        """Hand an event to all observers; any of them may ask to stop."""
        for observer in self.observers:
            if observer(event):
                self._is_asked = True

    def progressed(self, loop: Progressing, epoch: float) -> None:
        """Tell how far a loop has come."""
        seconds = self.clock.seconds
        speed = loop.examples / max(seconds, 1e-9)
        self.tell(Progress(loop.update, loop.total_updates, epoch, seconds, speed))

    def evaluated(self, point: Point, model: Any, learning_rate: float) -> None:
        """Note one evaluation; the model holds the weights that were evaluated."""
        self.points.append(point)
        if self._file is not None:
            self._file.write(point_to_line(point))
            self._file.flush()
        value = self.watched(point)
        is_well = self._is_well(point)
        is_best = is_well and self._is_best(value)
        if is_best:
            self.best = point
            self._since_best = 0
            if self._plan.duration.restore_best:
                self.best_weights = [np.array(variable) for variable in model.weights]
        else:
            self._since_best += 1
        self._decide(value, is_well)
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

    def state(self) -> dict[str, Any]:
        """Return what it knows as plain values: all but the weights, the clock and the observers.

        What observers ask for is a matter of the moment, and not in it.
        """
        return {
            "points": [point.model_dump() for point in self.points],
            "best": self.points.index(self.best) if self.best is not None else None,
            "since_best": self._since_best,
            "signals": [signal.model_dump() for signal in self.signals],
            "looks": [asdict(look) for look in self._looks],
            "decided": self.decided,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned, and no more; metrics.jsonl is cut to that."""
        self.points = [Point.model_validate(point) for point in state["points"]]
        self.best = None if state["best"] is None else self.points[state["best"]]
        self._since_best = state["since_best"]
        self.signals = [Signal.model_validate(signal) for signal in state["signals"]]
        self._looks = [LOOK.validate_python(look) for look in state["looks"]]
        self.decided = state["decided"]
        if self._file is not None and self.folder is not None:
            self._file.close()
            file = write_text(self.folder / METRICS_FILE, "".join(map(point_to_line, self.points)))
            self._file = file.open("a", encoding="utf-8")

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
                code="SLP-216",
            )
        return point.values[monitor]

    def _is_well(self, point: Point) -> bool:
        """Whether what was evaluated has finite losses: an accuracy has a value whatever weights.

        Under float16 the loss scale skips a step that overflows, yet its loss may be logged.
        """
        scaled = self._plan.precision.policy == "mixed_float16"
        names = ("val_loss",) if scaled else ("loss", "val_loss")
        return all(math.isfinite(point.values.get(name, 0.0)) for name in names)

    def _is_best(self, value: float) -> bool:
        # A NaN is never the best value, the first one included.
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return is_better(value, self.best.values[self._task.monitor], self._task.better)

    def _decide(self, value: float, is_well: bool) -> None:
        duration, target = self._plan.duration, self._task.target
        mode = self._task.better
        aims = is_well and duration.stop_at_target
        if aims and target is not None and meets(value, target, mode):
            self.decided = "reached_target"
        if duration.patience and self._since_best >= duration.patience:
            self.decided = self.decided or "stopped_early"
