"""`slipstream run`: a script as it is, with every fit through the engine."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, final

from slipstream.commands.durations import seconds_in_words
from slipstream.commands.folders import RUNS, claim, slug
from slipstream.measure import require_backend
from slipstream.script.advice import advice_for
from slipstream.script.choice import AUTO, choose
from slipstream.script.fits import Fits
from slipstream.script.hook import WhenImported
from slipstream.script.keeping import Kept
from slipstream.script.program import execute, read_source
from slipstream.script.tracebacks import show

FAILED, INTERRUPTED = 1, 130
BACKEND_VARIABLE = "KERAS_BACKEND"


@dataclass(frozen=True)
class Settings:
    """What is to be run.

    Args:
        script: The script, as the user wrote it.
        arguments: What follows it.
        backend: A backend, "auto" for the quickest, or "" for the script's own.
        out: Where records go; a new folder below runs/ if None.
    """

    script: str
    arguments: tuple[str, ...] = ()
    backend: str = ""
    out: Path | None = None


@dataclass(frozen=True)
class Ready:
    """A script that was looked at and can be started.

    Args:
        settings: What is to be run.
        source: The script's content.
        backend: The backend that is put in place, or "" for the script's own.
        folder: Where records go, absolute: a script may change its folder.
    """

    settings: Settings
    source: bytes
    backend: str
    folder: Path


def prepare(settings: Settings) -> Ready:
    """Look at a script, and choose its backend where that was asked for; runs nothing of it here.

    Args:
        settings: What is to be run.

    Returns:
        What `run` starts.

    Raises:
        InputError: There is no such script or backend, or the folder holds results.
    """
    source = read_source(settings.script)
    backend = settings.backend
    if backend not in ("", AUTO):
        require_backend(backend)
    folder = claim(settings.out) if settings.out is not None else _new_folder(settings.script)
    if backend == AUTO:
        backend = choose(settings.script, settings.arguments, Teller(sys.stderr).say)
    return Ready(settings, source, backend, folder.absolute())


def run(ready: Ready) -> int:
    """Run a script in this process, as Python would.

    Args:
        ready: The script.

    Returns:
        The exit code, as Python's: 0; 1 after an error; 130 after Ctrl-C.

    Raises:
        SystemExit: The script's own.
    """
    teller = Teller(sys.stderr)
    settings = ready.settings
    command = ["slipstream", "run", settings.script, *settings.arguments]
    fits = Fits(ready.folder, slug(settings.script), shlex.join(command), teller.say)
    hook = WhenImported("keras", lambda: _put_backend(ready.backend, teller), fits.install)
    if ready.backend:
        os.environ[BACKEND_VARIABLE] = ready.backend
    _mute_loggers()
    code = 0
    try:
        with hook:
            execute(settings.script, settings.arguments, ready.source)
    except KeyboardInterrupt as error:
        show(error)
        code = INTERRUPTED
    except Exception as error:
        show(error)
        code = FAILED
        _explain(error, settings.script, teller)
    finally:
        fits.finish()
        _sum_up(fits, ready.folder, code, teller)
    return code


@final
class Teller:
    """Says Slipstream's few lines, on the standard error that there was at the start."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """Say one line."""
        try:
            print(f"slipstream: {text}", file=self._stream, flush=True)
        except (OSError, ValueError):
            # A script may close what it was given.
            return


def _new_folder(script: str) -> Path:
    """Return a folder that does not exist yet; it is made when there is something to keep."""
    name = f"{slug(script)}-{time.strftime('%Y%m%d-%H%M%S')}"
    place, number = RUNS / name, 1
    while place.exists():
        number += 1
        place = RUNS / f"{name}-{number}"
    return place


def _put_backend(backend: str, teller: Teller) -> None:
    if not backend:
        return
    asked = os.environ.get(BACKEND_VARIABLE)
    if asked not in (None, "", backend):
        teller.say(f"the script asks for {asked}; --backend has it run on {backend}")
    os.environ[BACKEND_VARIABLE] = backend


def _mute_loggers() -> None:
    # What the engine logs is told here in the end; a script's own logging may go anywhere.
    logger = logging.getLogger("slipstream")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logging.getLogger("tensorflow").addFilter(_is_the_scripts)


def _is_the_scripts(entry: logging.LogRecord) -> bool:
    """Whether TensorFlow's word is on what the script wrote.

    In a loop of many fits TensorFlow complains that each of them is compiled: of our functions,
    and of Keras' evaluation, which is alone now in the statistics that it shared with training.
    """
    text = str(entry.msg)
    ours = "slipstream.backends" in text or "TensorFlowTrainer" in text
    return not (ours and "triggered tf.function retracing" in text)


def _explain(error: BaseException, script: str, teller: Teller) -> None:
    advice = advice_for(error)
    if advice is not None:
        teller.say(advice)
    elif "keras" not in sys.modules:
        teller.say(f"{Path(script).name} ended before it imported Keras; nothing was trained")


def _sum_up(fits: Fits, folder: Path, code: int, teller: Teller) -> None:
    """Say how many fits there were, where they are kept, and what Keras ran itself."""
    for complaint in fits.complaints[:1]:
        teller.say(f"not everything of the fits could be kept: {complaint}")
    elsewhere = fits.keeper.elsewhere()
    if fits.kept or elsewhere:
        teller.say(_in_words(fits.kept, elsewhere, folder))
        for line in _fallbacks(fits.kept):
            teller.say(line)
    elif code == 0 and not fits.complaints:
        is_keras_2 = "tf_keras" in sys.modules
        why = "it uses tf_keras, which is Keras 2" if is_keras_2 else "it did not call Model.fit"
        teller.say(f"the script ran as it is: {why}")


def _in_words(kept: list[Kept], elsewhere: int, folder: Path) -> str:
    backends = ", ".join(dict.fromkeys(one.record.backend for one in kept))
    seconds = sum(one.record.timings.clock_seconds for one in kept)
    parts = [f"{_fits(len(kept))} on {backends} in {seconds_in_words(seconds)}"] if kept else []
    parts += [f"{_fits(elsewhere)} in processes of their own"] if elsewhere else []
    return f"{', '.join(parts)}; records and reports in {_short(folder)}"


def _fits(count: int) -> str:
    return f"{count} fits" if count > 1 else "1 fit"


def _fallbacks(kept: list[Kept]) -> list[str]:
    """Return a line for each kind of fit that Keras' own loop ran, with the reason."""
    reasons: dict[str, list[str]] = {}
    for one in kept:
        if one.in_keras:
            reasons.setdefault("; ".join(one.in_keras), []).append(
                one.folder.name.replace("_", " ")
            )
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} fits'} in Keras' own loop: {reason}"
        for reason, names in reasons.items()
    ]


def _short(folder: Path) -> str:
    try:
        return str(folder.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(folder)
