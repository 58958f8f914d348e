"""Worker: one fresh process on one backend that answers the manager's questions.

Run as `python -m slipstream.measure.worker`, with KERAS_BACKEND set by the manager.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, final

from slipstream.environment import peak_memory_bytes
from slipstream.errors import BackendError, InputError
from slipstream.measure import manager, messages
from slipstream.measure.confine import MEMORY_VARIABLE, confine
from slipstream.measure.messages import Happening, Message, Reply

PROGRESS_INTERVAL_SECONDS = 0.2


@final
class Channel:
    """The way to the manager, kept apart from what libraries and the user's code print.

    The standard output becomes the log, the standard input becomes empty. When the manager is
    gone, so is this process, with all that it started.
    """

    def __init__(self, requests: IO[str], replies: IO[str]) -> None:
        self._requests = requests
        self._replies = replies
        self._queue: queue.SimpleQueue[messages.Numbered] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self.stop_asked = threading.Event()
        # Whether a training that is asked to stop is to be gone on with later.
        self.is_interruptible = False
        threading.Thread(target=self._listen, daemon=True).start()

    @classmethod
    def take_over(cls) -> Channel:
        """Take the process's standard input and output for the protocol alone."""
        requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
        replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(requests, replies)

    def next_request(self) -> messages.Numbered:
        """Wait for the next request."""
        numbered = self._queue.get()
        self.stop_asked.clear()
        self.is_interruptible = False
        return numbered

    def is_interrupted(self) -> bool:
        """Whether the training that runs is to end now, and to be gone on with later."""
        return self.is_interruptible and self.stop_asked.is_set()

    def terminated(self, number: int, frame: Any) -> None:
        """Heed SIGTERM: keep the training that runs, or end at once where none can be kept."""
        del number, frame
        if not self.is_interruptible:
            _end_at_once(128 + signal.SIGTERM)
        self.stop_asked.set()

    def say(self, number: int, body: Any) -> None:
        """Send one reply or happening."""
        line = messages.write_line(Reply(number=number, body=body))
        with self._writing:
            self._replies.write(line)
            self._replies.flush()

    def _listen(self) -> None:
        for line in self._requests:
            numbered = messages.read_request(line)
            if isinstance(numbered.request, messages.StopTraining):
                self.stop_asked.set()
            else:
                self._queue.put(numbered)
        # The end of the requests is the end of the manager, however it ended.
        _end_group()


@final
class Session:
    """What a worker holds between requests: the task, its data, the probe that is open."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._number = 0
        self._reference = ""
        self._task: Any = None
        self._data: Any = None
        self._model: Any = None
        self._probe: Any = None
        self._import_seconds = 0.0
        self._load_seconds = 0.0

    def answer(self, numbered: messages.Numbered) -> Message:
        """Do what was asked; an error becomes a Problem."""
        self._number = numbered.number
        handlers: dict[str, Callable[[Any], Message]] = {
            "open": self._open,
            "look": self._look,
            "check": self._check,
            "probe": self._build_probe,
            "measure": self._measure,
            "train": self._train,
            "range_test": self._range_test,
            "look_around": self._look_around,
        }
        try:
            return handlers[numbered.request.do](numbered.request)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            # SystemExit too: the user's file may call sys.exit().
            return messages.to_problem(error, traceback.format_exc())

    def _open(self, request: messages.Open) -> messages.Opened:
        start = time.perf_counter()
        backend = _import_everything()
        self._import_seconds = time.perf_counter() - start

        from slipstream import tasks
        from slipstream.data import to_data

        start = time.perf_counter()
        self._reference = request.reference
        self._task = tasks.resolve(request.reference)
        self._data = to_data(self._task.data())
        self._load_seconds = time.perf_counter() - start
        _confine()
        return messages.Opened(
            backend=backend,
            import_seconds=self._import_seconds,
            load_seconds=self._load_seconds,
        )

    def _look(self, request: messages.Look) -> messages.Looked:
        from slipstream import doctor, engine

        task, data = self._task, self._data
        facts, model = engine.look(task, self._reference, data)
        self._model = model
        plan = (request.plan or facts.as_given).edit(request.changes)
        target = task.target if request.target is None else request.target
        case = doctor.Case(data, model, plan, task.monitor, task.name, target=target)
        findings = tuple(dataclasses.asdict(finding) for finding in doctor.examine(case))
        return messages.Looked(task=facts, model=model, findings=findings)

    def _check(self, request: messages.CheckPlan) -> messages.Checked:
        from slipstream import doctor, engine

        task, data, plan = self._task, self._data, request.plan
        case = doctor.Case(data, self._model, plan, task.monitor, task.name)
        findings = doctor.examine(case)
        try:
            doctor.refuse(findings)
            engine.check(task, plan, data)
        except InputError as error:
            came = f"{error.came}, in {request.name}"
            raise type(error)(error.expected, came, error.mend, code=error.code) from None
        return messages.Checked(findings=tuple(dataclasses.asdict(found) for found in findings))

    def _build_probe(self, request: messages.BuildProbe) -> messages.Probed:
        from slipstream import engine

        self._probe = None
        self._probe = engine.Probe(self._task, request.plan, self._data)
        return messages.Probed(compile_seconds=self._probe.compile_seconds)

    def _measure(self, request: messages.MeasureProbe) -> messages.Measured:
        windows = self._probe.measure(request.seconds)
        return messages.Measured(
            examples_per_second=tuple(windows),
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_bytes=self._probe.peak_device_bytes,
        )

    def _train(self, request: messages.Train) -> messages.Trained:
        from slipstream import engine

        self._probe = None
        self._channel.is_interruptible = request.checkpoint_every is not None
        record = engine.train(
            self._task,
            request.plan,
            data=self._data,
            folder=Path(request.folder) if request.folder else None,
            observers=self._observers(request),
            limits=engine.Limits(
                seconds=request.limit_seconds,
                updates=request.limit_updates,
                interrupted=self._channel.is_interrupted,
            ),
            evaluate_test=request.evaluate_test,
            origin=engine.Origin(self._reference, self._import_seconds, self._load_seconds),
            keeping=self._keeping(request),
        )
        return messages.Trained(record=record)

    def _keeping(self, request: messages.Train) -> Any:
        from slipstream import engine
        from slipstream.checkpoint.every import Every

        if request.checkpoint_every is None:
            return None
        return engine.Keeping(Every.parse(request.checkpoint_every), request.resume)

    def _observers(self, request: messages.Train) -> tuple[Any, ...]:
        from slipstream import tasks

        users = tasks.callbacks_of(self._task) if request.callbacks else ()
        observers = (Teller(self._channel, self._number), *users)
        if request.folder is None:
            return observers
        from slipstream.observers import TensorBoardWriter

        return *observers, TensorBoardWriter(Path(request.folder), goes_on=request.resume)

    def _range_test(self, request: messages.RangeTest) -> messages.Ranged:
        from slipstream import engine

        points = engine.learning_rate_range(
            self._task, request.plan, self._data, request.lowest, request.highest, request.updates
        )
        return messages.Ranged(points=tuple((float(p.rate), float(p.loss)) for p in points))

    def _look_around(self, request: messages.LookAround) -> messages.LookedAround:
        from slipstream import engine

        landscape = engine.landscape_of(
            self._task, request.plan, Path(request.weights), self._data, request.settings
        )
        return messages.LookedAround(landscape=landscape)


class Ear(Protocol):
    """What a training is told to; it may ask to stop."""

    stop_asked: threading.Event
    # Whether a training that is asked to stop is ended from elsewhere, with its state saved.
    is_interruptible: bool

    def say(self, number: int, body: Any) -> None:
        """Take one happening."""


@final
class Teller:
    """Observer that tells the manager what happens, progress a few times a second at most."""

    def __init__(self, channel: Ear, number: int) -> None:
        self._channel = channel
        self._number = number
        self._told_at = -1.0

    def __call__(self, event: Any) -> bool:
        """Tell it; returns whether the manager asked to stop."""
        happening = self._happening(event)
        if happening is not None:
            self._channel.say(self._number, happening)
        return self._channel.stop_asked.is_set() and not self._channel.is_interruptible

    def _happening(self, event: Any) -> Happening | None:
        from slipstream.engine import events

        if isinstance(event, events.Progress):
            if time.perf_counter() - self._told_at < PROGRESS_INTERVAL_SECONDS:
                return None
            self._told_at = time.perf_counter()
            return messages.TrainingProgress(
                update=event.update,
                total_updates=event.total_updates,
                epoch=event.epoch,
                seconds=event.seconds,
                examples_per_second=event.examples_per_second,
            )
        if isinstance(event, events.Evaluated):
            return messages.TrainingEvaluated(
                point=event.point, is_best=event.is_best, learning_rate=event.learning_rate
            )
        if isinstance(event, events.Signalled):
            return messages.TrainingSignalled(signal=event.signal)
        return _beginning(event)


def _beginning(event: Any) -> Happening | None:
    from slipstream.engine import events

    if isinstance(event, events.Started):
        return messages.TrainingStarted(
            total_updates=event.total_updates, updates_per_epoch=event.updates_per_epoch
        )
    if isinstance(event, events.Resumed):
        return messages.TrainingResumed(
            update=event.update, epoch=event.epoch, skipped=event.skipped
        )
    return None


def main() -> None:
    """Answer requests until the manager says quit or is gone."""
    channel = Channel.take_over()
    signal.signal(signal.SIGTERM, channel.terminated)
    session = Session(channel)
    while True:
        numbered = channel.next_request()
        if isinstance(numbered.request, messages.Quit):
            channel.say(numbered.number, messages.Done())
            # Interpreters with three frameworks' threads are slow to end and may crash at it.
            _end_at_once()
        channel.say(numbered.number, session.answer(numbered))


def _import_everything() -> str:
    """Import Keras, the backend and the engine; returns the backend's name."""
    wanted = os.environ.get("KERAS_BACKEND", "")
    try:
        import keras
    except ImportError as error:
        raise BackendError(
            f"the backend '{wanted}' to be importable",
            f"{type(error).__name__}: {error}",
            manager.how_to_install(wanted),
            code="SLP-034",
        ) from None
    from slipstream import engine  # noqa: F401

    return str(keras.backend.backend())


def _confine() -> None:
    """Keep to the memory that the environment names, if it names any."""
    if not os.environ.get(MEMORY_VARIABLE):
        return
    from slipstream.engine.speeds import machine_speeds

    # The backend's threads and its compiler belong to what is loaded, not to a training.
    machine_speeds()
    confine()


def _end_at_once(code: int = 0) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_group() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
