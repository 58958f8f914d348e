"""Every `Model.fit` of a script through the engine, and what is kept of each."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, final

from slipstream.record import Failure, Outcome, Record
from slipstream.script import describe
from slipstream.script.contradictions import contradictions
from slipstream.script.watch import Seen, iterations_of, with_watch

MANY = 20
# Writing safely takes as long as a short fit: such ones wait for company.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One fit that was kept: its folder and record, what Keras' own loop ran, what looks wrong."""

    folder: Path
    record: Record
    in_keras: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@final
class Fits:
    """Sends every fit through the engine and keeps its record; nothing of it stops a script.

    Args:
        folder: Where `fit_1`, `fit_2`, ... go; made when there is a first one.
        script: The script's name.
        command: The command line that runs it, for the report.
    """

    def __init__(self, folder: Path, script: str, command: str) -> None:
        self._folder = folder
        self._script = script
        self._command = command
        self._import_seconds = 0.0
        self._lock = threading.Lock()
        self._number = 0
        self._written_at = time.monotonic()
        self._waiting: list[Kept] = []
        self.kept: list[Kept] = []
        self.complaints: list[str] = []

    def install(self, keras: ModuleType, import_seconds: float) -> None:
        """Put the engine's fit in the place of Keras' own, for models of every kind."""
        self._import_seconds = import_seconds
        replace_fit(keras, self._fit)

    def _fit(self, model: Any, arguments: dict[str, Any]) -> Any:
        # `before` is asked for now: training changes what an optimizer says of itself.
        before = self._quietly(lambda: _Before.of(model)) or _Before()
        seen = Seen()
        ended = _Ended()
        try:
            history = self._engine(model, **with_watch(arguments, seen))
            ended = _Ended("stopped_early" if seen.stopped else "completed", told=_told(history))
            return history
        except Exception as error:
            ended = _Ended("failed", Failure(kind=type(error).__name__, message=_first_line(error)))
            raise
        except BaseException:
            ended = _Ended("interrupted")
            raise
        finally:
            self._quietly(lambda: self._keep(model, arguments, before, seen, ended))

    def _engine(self, model: Any, **arguments: Any) -> Any:
        try:
            from slipstream.engine import drop_in
        except ImportError as error:
            # Another Keras than the engine knows: within a fit, this is Keras' own.
            self.complaints.append(f"Keras' own fit runs, because of {error}")
            return sys.modules["keras"].Model.fit(model, **arguments)
        return drop_in.fit(model, **arguments)

    def _keep(
        self, model: Any, arguments: dict[str, Any], before: _Before, seen: Seen, ended: _Ended
    ) -> None:
        """Write the record of a fit that ended."""
        from slipstream.script import records

        seconds = seen.seconds
        number, folder = self._claim()
        fit = records.Fit(
            name=f"{self._script}, fit {number}",
            reference=self._command,
            fingerprint=describe.fingerprint_of(model),
            backend=before.backend,
            seed=before.seed,
            monitor=describe.monitor_of(arguments),
            started_at=before.started_at,
            outcome=ended.outcome,
            failure=ended.failure,
            import_seconds=self._import_seconds,
            seconds=seconds,
            evaluate_seconds=seen.evaluate_seconds,
            updates=max(0, iterations_of(model) - before.iterations),
            examples=describe.num_examples(arguments),
            parameters=describe.parameters_of(model),
            points=tuple(seen.points),
            applied={**ended.applied(), "optimizer": before.optimizer, "loss": before.loss},
            notes=(*before.warnings, *ended.fallbacks),
        )
        record = records.record_of(fit)
        in_keras = ended.fallbacks if ended.applied().get("loop") == "keras" else ()
        kept = Kept(folder=folder, record=record, in_keras=in_keras, warnings=before.warnings)
        self.kept.append(kept)
        self._waiting.append(kept)
        if time.monotonic() - self._written_at > PATIENCE_SECONDS or seconds > 1.0:
            self._write_records()

    def _claim(self) -> tuple[int, Path]:
        """Return the number of the next fit, and its folder, made just now."""
        while True:
            with self._lock:
                self._number += 1
                number = self._number
            folder = self._folder / f"fit_{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                # A process that this one has forked keeps its fits here too.
                continue
            return number, folder

    def _write_records(self) -> None:
        from slipstream.script import records

        with self._lock:
            waiting, self._waiting = self._waiting, []
        for kept in waiting:
            records.keep(kept.record, kept.folder)
        self._written_at = time.monotonic()

    def finish(self) -> None:
        """Write what waits, and the reports of the first fits: `slipstream report` writes more."""
        from slipstream.script import records

        self._quietly(self._write_records)
        written_at = datetime.now(UTC).isoformat(sep=" ", timespec="minutes")
        for kept in self.kept[:MANY]:
            self._quietly(
                functools.partial(records.write_report, kept.record, kept.folder, written_at)
            )

    def _quietly(self, work: Callable[[], Any]) -> Any:
        """Do what the script did not ask for: whatever goes wrong in it is told, not raised."""
        try:
            return work()
        except Exception as error:
            complaint = f"{type(error).__name__}: {_first_line(error)}"
            if complaint not in self.complaints:
                self.complaints.append(complaint)
        return None


@dataclass(frozen=True)
class _Before:
    """What was known of a model when its fit began."""

    backend: str = ""
    seed: int | None = None
    started_at: str = ""
    iterations: int = 0
    optimizer: str = describe.MISSING
    loss: str = describe.MISSING
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Any) -> _Before:
        import keras

        return cls(
            backend=keras.backend.backend(),
            seed=_seed(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            iterations=iterations_of(model),
            optimizer=describe.optimizer_of(model),
            loss=describe.loss_of(model),
            warnings=_warnings(model),
        )


@dataclass(frozen=True)
class _Ended:
    """How a fit ended."""

    outcome: Outcome = "failed"
    failure: Failure | None = None
    told: Any = None

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What Keras did itself, each with its reason."""
        return tuple(self.told.fallbacks) if self.told is not None else ()

    def applied(self) -> dict[str, str]:
        """Return which loop ran, and how."""
        if self.told is None:
            return {}
        calls = {"updates per call": str(self.told.updates_per_call)}
        return {"loop": self.told.loop, **(calls if self.told.updates_per_call else {})}


def replace_fit(keras: ModuleType, instead: Callable[[Any, dict[str, Any]], Any]) -> None:
    """Make every model's `fit` a call of `instead(model, arguments by name)`.

    A fit of the same model within that call is Keras' own: what the engine leaves to it.

    Args:
        keras: The module that was imported just now.
        instead: What to call; arguments that `Model.fit` does not take never come to it.
    """
    plain = keras.Model.fit
    signature = inspect.signature(plain)
    running: set[int] = set()

    @functools.wraps(plain)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if id(self) in running:
            return plain(self, *args, **kwargs)
        try:
            _, *given = signature.bind(self, *args, **kwargs).arguments.items()
        except TypeError:
            # Keras says it in its own words.
            return plain(self, *args, **kwargs)
        running.add(id(self))
        try:
            return instead(self, dict(given))
        finally:
            running.discard(id(self))

    keras.Model.fit = _as_keras_filters(fit)


def _as_keras_filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose errors come without Keras' own frames, as those of its fit do."""
    try:
        from keras.src.utils.traceback_utils import filter_traceback
    except ImportError:
        return function
    return filter_traceback(function)  # type: ignore[no-any-return]


def _warnings(model: Any) -> tuple[str, ...]:
    try:
        return contradictions(model)
    except Exception:
        # A loss in a form that the look into it does not know.
        return ()


def _told(history: Any) -> Any:
    """Return what the engine says of a fit: a FitReport, or None."""
    return getattr(history, "slipstream", None)


def _seed() -> int | None:
    try:
        from keras.src.utils.rng_utils import get_random_seed
    except ImportError:
        return None
    seed = get_random_seed()
    return int(seed) if seed is not None else None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")
