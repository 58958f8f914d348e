"""Every `Model.fit` of a script through the engine, and what is kept of each."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, final

from slipstream.commands.fit_findings import findings_of_batch, findings_of_fit
from slipstream.doctor import Finding
from slipstream.record import Failure, Outcome
from slipstream.script import describe
from slipstream.script.contradictions import contradictions
from slipstream.script.keeping import Keeper, Kept
from slipstream.script.tracebacks import PACKAGE
from slipstream.script.watch import Seen, iterations_of, with_watch


@final
class Fits:
    """Sends every fit through the engine and keeps its record; nothing of it stops a script.

    Args:
        folder: Where `fit_1`, `fit_2`, ... go; made when there is a first one.
        script: The script's name.
        command: The command line that runs it, for the report.
        say: Told a line for each thing that is wrong with a fit, before its first step.
    """

    def __init__(
        self, folder: Path, script: str, command: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.keeper = Keeper(folder)
        self._script = script
        self._command = command
        self._say = say
        self._told: set[str] = set()
        self._import_seconds = 0.0
        self.complaints: list[str] = []

    @property
    def kept(self) -> list[Kept]:
        """The fits of this process."""
        return self.keeper.kept

    def install(self, keras: ModuleType, import_seconds: float) -> None:
        """Put the engine's fit in the place of Keras' own, for models of every kind."""
        self._import_seconds = import_seconds
        replace_fit(keras, self._fit)

    def _fit(self, model: Any, arguments: dict[str, Any]) -> Any:
        # `before` is asked for now: training changes what an optimizer says of itself.
        before = self._quietly(lambda: _Before.of(model, arguments)) or _Before()
        self._tell(before.warnings)
        of_batch: list[str] = []

        def look(*batch: Any) -> None:
            found = self._quietly(lambda: findings_of_batch(model, arguments, batch)) or ()
            of_batch.extend(_beside_contradictions(found))
            self._tell(of_batch)

        seen = Seen()
        ended = _Ended()
        try:
            history = self._engine(model, look, **with_watch(arguments, seen))
            ended = _Ended("stopped_early" if seen.stopped else "completed", told=_told(history))
            return history
        except Exception as error:
            ended = _Ended("failed", Failure(kind=type(error).__name__, message=_first_line(error)))
            raise
        except BaseException:
            ended = _Ended("interrupted")
            raise
        finally:
            before = replace(before, warnings=(*before.warnings, *of_batch))
            self._quietly(lambda: self._keep(model, arguments, before, seen, ended))

    def _tell(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                self._say(warning)

    def _engine(self, model: Any, look: Callable[..., None], **arguments: Any) -> Any:
        try:
            from slipstream.engine import drop_in
        except ImportError as error:
            # Another Keras than the engine knows: within a fit, this is Keras' own.
            self.complaints.append(f"Keras' own fit runs, because of {error}")
            return sys.modules["keras"].Model.fit(model, **arguments)
        with drop_in.first_batch_shown_to(look):
            return drop_in.fit(model, **arguments)

    def _keep(
        self, model: Any, arguments: dict[str, Any], before: _Before, seen: Seen, ended: _Ended
    ) -> None:
        """Write the record of a fit that ended."""
        from slipstream.script import records

        seconds = seen.seconds
        number, folder = self.keeper.claim()
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
            updates=max(0, iterations_of(model) - before.iterations) or ended.updates,
            examples=ended.examples or _examples(arguments, len(seen.points)),
            parameters=describe.parameters_of(model),
            points=tuple(seen.points),
            applied={**ended.applied(), "optimizer": before.optimizer, "loss": before.loss},
            notes=(*before.warnings, *ended.fallbacks),
        )
        record = records.record_of(fit)
        in_keras = ended.fallbacks if ended.applied().get("loop") == "keras" else ()
        kept = Kept(folder=folder, record=record, in_keras=in_keras, warnings=before.warnings)
        self.keeper.add(kept)

    def finish(self) -> None:
        """Write what is not written yet."""
        self.keeper.finish(self._quietly)

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
    def of(cls, model: Any, arguments: Mapping[str, Any]) -> _Before:
        import keras

        return cls(
            backend=keras.backend.backend(),
            seed=_seed(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            iterations=iterations_of(model),
            optimizer=describe.optimizer_of(model),
            loss=describe.loss_of(model),
            warnings=_warnings(model, arguments),
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

    @property
    def updates(self) -> int:
        """How many the engine made."""
        return self.told.updates if self.told is not None else 0

    @property
    def examples(self) -> int:
        """How many the engine trained on, each time anew."""
        return self.told.examples if self.told is not None else 0

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
    """Return a function whose errors come without Keras' own frames, as those of its fit do.

    What Keras leaves of a traceback without a frame of the user's is its end: ours count as its.
    """
    try:
        from keras.src.utils import traceback_utils
    except ImportError:
        return function
    excluded = getattr(traceback_utils, "_EXCLUDED_PATHS", None)
    if isinstance(excluded, tuple) and PACKAGE not in excluded:
        traceback_utils._EXCLUDED_PATHS = (*excluded, PACKAGE)
    return traceback_utils.filter_traceback(function)  # type: ignore[no-any-return]


def _warnings(model: Any, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    # A loss or data in a form that the looks into them do not know have no warnings.
    with suppress(Exception):
        found += contradictions(model)
    with suppress(Exception):
        found += _beside_contradictions(findings_of_fit(model, arguments))
    return tuple(found)


def _beside_contradictions(findings: Sequence[Finding]) -> list[str]:
    """Return what was found as texts, without what `contradictions` has said."""
    return [str(finding) for finding in findings if finding.check != "probabilities"]


def _examples(arguments: dict[str, Any], epochs: int) -> int | None:
    """Return how many examples so many epochs saw, as far as the data tell."""
    of_one = describe.examples_per_epoch(arguments)
    return None if of_one is None else of_one * epochs


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
