"""The quickest backend for a script, by trial: each in a process of its own, the result kept."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from slipstream.commands.durations import seconds_in_words
from slipstream.environment import environment
from slipstream.files import cache_folder, read_text, write_text
from slipstream.measure import installed_backends
from slipstream.measure.process import ChildProcess
from slipstream.record import JsonModel
from slipstream.script.reading import Reading, read

AUTO = "auto"
TRIAL_SECONDS = 180.0
TRIAL_VARIABLE = "SLIPSTREAM_TRIAL"
# Another backend than the script's own has to be worth it.
MARGIN = 0.95
UNKNOWN_UPDATES = 1000
PROGRAM = "from slipstream.script.trial import main; main()"

Say = Callable[[str], None]


class Trial(JsonModel):
    """What a trial measured of a script's first fit.

    Args:
        first_seconds: What the first steps took beyond what such steps take: compiling.
        step_seconds: What a step takes, steadily.
        updates: How many steps the whole fit has, or None where nobody can tell.
    """

    first_seconds: float
    step_seconds: float
    updates: int | None

    @property
    def seconds(self) -> float:
        """Seconds that the whole fit will take."""
        return self.first_seconds + self.step_seconds * (self.updates or UNKNOWN_UPDATES)


class Choice(JsonModel):
    """The outcome of trials, as it is kept."""

    backend: str
    trials: dict[str, Trial]


def choose(script: str, arguments: Sequence[str], say: Say) -> str:
    """Return the quickest backend for a script, or "" for its own; says which, and why.

    Args:
        script: The script.
        arguments: What follows it.
        say: Called with one line.
    """
    reading = read(Path(script))
    installed = installed_backends()
    why = reading.tie if reading.uses_keras else "it does not import Keras"
    if not why and len(installed) < 2:
        why = f"only {', '.join(installed) or 'none'} is installed"
    if why:
        say(f"the script stays on its own backend: {why}")
        return ""
    file = cache_folder() / "backends" / f"{_key(reading, installed)}.json"
    known = _read(file)
    if known is not None:
        say(f"{known.backend}, as measured before: {_in_words(known)}")
        return known.backend
    tried = _own_first(installed)
    say(f"trying {', '.join(tried)} on the script's first fit, one after the other")
    choice, failed = _measure(script, arguments, tried)
    if choice is None:
        say(f"the script stays on its own backend: {failed}")
        return ""
    say(f"{choice.backend} is quickest: {_in_words(choice)}{f'; {failed}' if failed else ''}")
    write_text(file, choice.model_dump_json(indent=1) + "\n")
    return choice.backend


def pick(trials: dict[str, Trial]) -> str:
    """Return the quickest backend; the first, which is the script's own, where little is gained.

    Example:
        >>> slow = Trial(first_seconds=1.0, step_seconds=0.01, updates=1000)
        >>> quick = Trial(first_seconds=2.0, step_seconds=0.001, updates=1000)
        >>> pick({"tensorflow": slow, "jax": quick})
        'jax'
        >>> pick({"tensorflow": slow, "jax": slow.model_copy(update={"first_seconds": 0.9})})
        'tensorflow'
    """
    own, *_ = trials
    best = min(trials, key=lambda name: trials[name].seconds)
    return best if trials[best].seconds < MARGIN * trials[own].seconds else own


def own_backend() -> str:
    """Return the backend of scripts that say nothing: the variable's, the file's, or Keras'."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        settings = json.loads((home / "keras.json").read_text(encoding="utf-8"))
        return str(settings["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _own_first(installed: Sequence[str]) -> list[str]:
    own = own_backend()
    return sorted(installed, key=lambda name: name != own)


def _key(reading: Reading, installed: Sequence[str]) -> str:
    """Return what a result holds for: the script's sources, this machine and these versions."""
    digest = hashlib.sha256()
    for file in reading.files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    digest.update(environment().model_dump_json().encode())
    digest.update(" ".join(installed).encode())
    return digest.hexdigest()[:16]


def _read(file: Path) -> Choice | None:
    try:
        return Choice.model_validate_json(read_text(file))
    except (OSError, ValueError, ValidationError):
        return None


def _measure(
    script: str, arguments: Sequence[str], backends: Sequence[str]
) -> tuple[Choice | None, str]:
    """Return the choice among backends, if any could be tried, and what went wrong."""
    trials: dict[str, Trial] = {}
    failed = []
    for backend in backends:
        result = _trial(script, arguments, backend)
        if isinstance(result, Trial):
            trials[backend] = result
        else:
            failed.append(f"{backend}: {result}")
            if not trials:
                # It fails on its own backend, or takes too long to come to its first fit.
                return None, failed[0]
    return Choice(backend=pick(trials), trials=trials), "; ".join(failed)


def _trial(script: str, arguments: Sequence[str], backend: str) -> Trial | str:
    """Run a script up to its first fit on a backend; returns what was measured, or why not."""
    with tempfile.TemporaryDirectory(prefix="slipstream-") as folder:
        result = Path(folder) / "trial.json"
        command = [sys.executable, "-c", PROGRAM, str(result), backend, script, *arguments]
        variables = {**os.environ, "KERAS_BACKEND": backend, TRIAL_VARIABLE: backend}
        child = ChildProcess(command, variables, None)
        try:
            code = child.wait(TRIAL_SECONDS)
        finally:
            child.end()
        try:
            return Trial.model_validate_json(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return _what_became(code, child.log_tail(1))


def _what_became(code: int | None, last_line: str) -> str:
    if code is None:
        return f"no result of its first fit within {seconds_in_words(TRIAL_SECONDS)}"
    if code == 0:
        return "it ended without a call of Model.fit"
    return f"it ended with {last_line.strip() or f'exit code {code}'}"


def _in_words(choice: Choice) -> str:
    by_time = sorted(choice.trials.items(), key=lambda item: item[1].seconds)
    known = all(trial.updates is not None for trial in choice.trials.values())
    what = "for the first fit" if known else f"for {UNKNOWN_UPDATES} steps"
    times = ", ".join(f"{name} {seconds_in_words(trial.seconds)}" for name, trial in by_time)
    return f"{times} {what}"
