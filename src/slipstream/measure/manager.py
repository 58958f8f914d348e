"""Manager of worker processes: starts them, asks them, and survives whatever becomes of them.

Keras fixes its backend when it is imported, so each question goes to a fresh process that has the
right one. A worker that crashes, hangs or runs out of memory is a value, `Failed`.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeVar, final

from pydantic import ValidationError

from slipstream.errors import BackendError, tells_of_memory
from slipstream.measure import messages
from slipstream.measure.confine import MEMORY_VARIABLE, is_silent_lack
from slipstream.measure.messages import (
    Checked,
    Happening,
    Looked,
    LookedAround,
    Measured,
    Opened,
    Probed,
    Problem,
    Ranged,
    Reply,
    Trained,
)
from slipstream.measure.process import ChildProcess
from slipstream.plan import Plan

WORKER_COMMAND = (sys.executable, "-m", "slipstream.measure.worker")
BACKENDS: Mapping[str, tuple[str, ...]] = {
    "tensorflow": ("tensorflow",),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}
# Loading data takes as long as the data are large; a worker that loads says nothing.
OPEN_SECONDS = 1800.0
ANSWER_SECONDS = 120.0
SILENCE_SECONDS = 600.0
LANDSCAPE_SECONDS = 3600.0
QUIT_SECONDS = 2.0
# Of a log: a process that ends on a signal adds where each of its threads was.
MOST_LINES = 1000
# How a worker ends that somebody else ended: the system, or a person.
KILLED = (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)

FailureKind = Literal["crash", "hang", "out_of_memory", "error"]
OnHappening = Callable[[Happening], bool | None]
ValueType = TypeVar("ValueType")


@dataclass(frozen=True)
class Failed:
    """What became of a question that got no answer.

    `crash`: the process ended; `hang`: it said nothing for too long and was ended;
    `out_of_memory`; `error`: it raised and can be asked again. `log` is the end of its chatter.
    `was_killed`: another process ended it; see `once_more`.
    """

    kind: FailureKind
    message: str
    log: str = ""
    was_killed: bool = False


def installed_backends() -> tuple[str, ...]:
    """Return the backends that can be imported, without importing them.

    Example:
        >>> set(installed_backends()) <= {"tensorflow", "jax", "torch"}
        True
    """
    return tuple(
        name for name, modules in BACKENDS.items() if all(_is_importable(m) for m in modules)
    )


def require_backend(name: str) -> None:
    """Raise BackendError, with the command that installs it, when a backend is missing."""
    installed = installed_backends()
    if name in installed:
        return
    if name not in BACKENDS:
        near = difflib.get_close_matches(name.lower(), BACKENDS, n=1)
        raise BackendError(
            f"one of {', '.join(BACKENDS)}",
            f"'{name}'",
            f"Did you mean '{near[0]}'?" if near else "Name one of these.",
            code="SLP-031",
        )
    raise BackendError(
        f"the backend '{name}' to be installed",
        f"only {', '.join(installed) or 'none'}",
        how_to_install(name),
        code="SLP-032",
    )


def how_to_install(backend: str) -> str:
    """Return the sentence that says how a backend is installed.

    Example:
        >>> how_to_install("jax")
        "Run: pip install 'slipstream[jax]' (from a clone: pip install -e '.[jax]')."
    """
    return (
        f"Run: pip install 'slipstream[{backend}]' (from a clone: pip install -e '.[{backend}]')."
    )


@dataclass(frozen=True)
class Launch:
    """How workers are started for one task.

    Args:
        reference: The task, as a fresh process can rebuild it.
        seed: Given to `open`.
        log_folder: Where each worker's chatter goes as `<name>.log`; None keeps none.
        variables: Added to the environment of the worker.
        command: Program and arguments of a worker.
    """

    reference: str
    seed: int = 0
    log_folder: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = WORKER_COMMAND

    def worker(self, backend: str, name: str = "") -> Worker:
        """Start a process on a backend; it is ready when `open` has returned."""
        if self.command == WORKER_COMMAND:
            require_backend(backend)
        return Worker(self, backend, name or backend)

    def environment_variables(self, backend: str) -> dict[str, str]:
        """Return the whole environment of a worker."""
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **self.variables,
            "KERAS_BACKEND": backend,
        }


@final
class Worker:
    """One fresh process on one backend. A context manager: on leaving, the process is ended.

    Every question returns its value or Failed; an error of the user's input is raised, in the
    same words as in the worker. `begin` and `finish` ask without waiting at once.

    Args:
        launch: How it is started.
        backend: Its Keras backend.
        name: The name of its log.
    """

    def __init__(self, launch: Launch, backend: str, name: str) -> None:
        self.backend = backend
        self.name = name
        self._launch = launch
        self._number = 0
        log = launch.log_folder / f"{name}.log" if launch.log_folder else None
        self._process = ChildProcess(launch.command, launch.environment_variables(backend), log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.close()
        else:
            self.end()

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.is_alive

    def open(self, timeout: float = OPEN_SECONDS) -> Opened | Failed:
        """Import Keras and the backend, and load the task's data."""
        self.begin_open()
        return self.finish(Opened, timeout)

    def begin_open(self) -> None:
        """Ask to open, without waiting: `finish(Opened, timeout)` waits."""
        self.begin(messages.Open(reference=self._launch.reference, seed=self._launch.seed))

    def look(
        self, request: messages.Look | None = None, timeout: float = OPEN_SECONDS
    ) -> Looked | Failed:
        """Build the model once; returns the facts and the doctor's findings on the plan."""
        self.begin(request or messages.Look())
        return self.finish(Looked, timeout)

    def check(self, name: str, plan: Plan, timeout: float = ANSWER_SECONDS) -> Checked | Failed:
        """After a look, say whether a plan can be trained; returns the doctor's findings.

        Raises:
            InputError: It cannot.
        """
        self.begin(messages.CheckPlan(name=name, plan=plan))
        return self.finish(Checked, timeout)

    def probe(self, plan: Plan, timeout: float = ANSWER_SECONDS) -> Probed | Failed:
        """Build and compile one candidate, to be measured with `measure`."""
        self.begin(messages.BuildProbe(plan=plan))
        return self.finish(Probed, timeout)

    def measure(self, seconds: float, timeout: float = ANSWER_SECONDS) -> Measured | Failed:
        """Run the probe for about so many seconds; returns examples per second, by window."""
        self.begin(messages.MeasureProbe(seconds=seconds))
        return self.finish(Measured, timeout)

    def train(
        self,
        request: messages.Train,
        on_happening: OnHappening | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> Trained | Failed:
        """Run one training; `on_happening` may return True to ask it to stop."""
        self.begin(request)
        return self.finish(Trained, silence_seconds, on_happening)

    def stop(self) -> None:
        """Ask the training that runs to stop soon; from any thread."""
        self._send(messages.StopTraining())

    def range_test(
        self, request: messages.RangeTest, timeout: float = SILENCE_SECONDS
    ) -> Ranged | Failed:
        """Run a learning-rate range test."""
        self.begin(request)
        return self.finish(Ranged, timeout)

    def look_around(
        self, request: messages.LookAround, timeout: float = LANDSCAPE_SECONDS
    ) -> LookedAround | Failed:
        """Compute the loss around weights on disk."""
        self.begin(request)
        return self.finish(LookedAround, timeout)

    def begin(self, request: messages.Request) -> None:
        """Send a request without waiting for its answer."""
        self._number += 1
        # When nobody reads it, the end of the lines tells the reason in `finish`.
        self._send(request)

    def finish(
        self,
        expected: type[ValueType],
        timeout: float,
        on_happening: OnHappening | None = None,
    ) -> ValueType | Failed:
        """Wait for the answer to what was begun.

        Args:
            expected: The class of the value to come.
            timeout: Seconds without a word after which the worker counts as hung and is ended.
            on_happening: Called with what the worker tells on its way.

        Raises:
            InputError: What the worker found wrong with the user's task, data or plan.
        """
        try:
            answer = self._wait(timeout, on_happening)
        except BaseException:
            self.end()
            raise
        if isinstance(answer, Problem):
            return self._failed_with(answer)
        assert isinstance(answer, expected | Failed), answer
        return answer

    def close(self) -> None:
        """Ask the process to quit, and end it if it does not."""
        if self.is_alive and self._send(messages.Quit()):
            self._process.wait(QUIT_SECONDS)
        self._process.end()

    def end(self) -> None:
        """End the process and all that it started, at once."""
        self._process.end()

    def _send(self, request: messages.Request) -> bool:
        numbered = messages.Numbered(number=self._number, request=request)
        return self._process.send(messages.write_line(numbered))

    def _wait(
        self, timeout: float, on_happening: OnHappening | None
    ) -> messages.Value | Problem | Failed:
        asked_to_stop = False
        while True:
            reply = self._next_reply(timeout)
            if isinstance(reply, Failed):
                return reply
            if reply.number != self._number:
                continue
            body = reply.body
            if not isinstance(body, Happening):
                return body
            if on_happening is not None and on_happening(body) and not asked_to_stop:
                asked_to_stop = self._send(messages.StopTraining())

    def _next_reply(self, timeout: float) -> Reply | Failed:
        try:
            line = self._process.receive(timeout)
        except TimeoutError:
            self.end()
            message = f"said nothing for {timeout:.0f} seconds and was ended"
            return Failed("hang", message, self._process.log_tail())
        if line is None:
            return self._failed_by_ending()
        try:
            return messages.read_reply(line)
        except ValidationError:
            self.end()
            message = f"said something that is no reply: {line.strip()[:200]}"
            return Failed("crash", message, self._process.log_tail())

    def _failed_by_ending(self) -> Failed:
        code = self._process.wait(QUIT_SECONDS)
        self.end()
        said = _before_the_dump(self._process.log_tail(MOST_LINES))
        is_memory = code == -signal.SIGKILL or tells_of_memory(said) or self._hit_its_limit(code)
        kind: FailureKind = "out_of_memory" if is_memory else "crash"
        last = said.rpartition("\n")[2].strip()[:300]
        message = f"{_end_in_words(code)}{f'; last line: {last}' if last else ''}"
        return Failed(kind, message, self._process.log_tail(), was_killed=code in KILLED)

    def _hit_its_limit(self, end: int | str | None) -> bool:
        """Whether it may take only so much memory, and ended or failed as what gets no more."""
        return MEMORY_VARIABLE in self._launch.variables and is_silent_lack(end)

    def _failed_with(self, problem: Problem) -> Failed:
        input_error = problem.input_error()
        if input_error is not None:
            raise input_error
        text = problem.message + problem.traceback
        is_memory = tells_of_memory(text) or self._hit_its_limit(text)
        kind: FailureKind = "out_of_memory" if is_memory else "error"
        return Failed(kind, problem.message, problem.traceback)


def _is_importable(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    # A mere folder of that name is found too, but it has no file.
    return spec is not None and spec.origin is not None


def _before_the_dump(log: str) -> str:
    # What Python adds when a signal ends it says no more than the signal's name does.
    return log.partition("Fatal Python error:")[0].rstrip()


def _end_in_words(code: int | None) -> str:
    if code is None:
        return "closed its answers and did not end"
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"was ended by {names.get(-code, f'signal {-code}')}"
    return f"ended with exit code {code}"
