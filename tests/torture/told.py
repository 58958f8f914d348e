"""What the command line says to made-up input, held against what it must say."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from slipstream.cli import main
from slipstream.messages import all_entries
from torture.outcome import Outcome
from torture.wrong_input import Case, nearness
from torture.wrong_lines import COMMAND_LINES
from torture.wrong_plans import PLANS

MOST_SECONDS = 1.0
MOST_LETTERS = 4000
FORM = re.compile(r"Error (SLP-\d{3}): expected .+\n  got: .*\n  to mend: .+\n", re.DOTALL)


def tell(count: int, folder: Path, seed: int = 0) -> Outcome:
    """Give the command line so many plans and arguments, nearly all with something wrong.

    Each is refused in one message of a known identifier, which names what it must, within a second
    of processor time, without a traceback, without starting a process and without importing Keras.
    """
    outcome = Outcome("plans and command lines made up")
    had_keras = "keras" in sys.modules
    with _alone(folder):
        for case in cases(count, folder, seed):
            outcome.tries += 1
            start = time.process_time()
            code, said = _called(case.arguments)
            took = time.process_time() - start
            outcome.count("refused", code == 2)
            outcome.count("fine", code == 0)
            for wrong in _wrong(case, code, said):
                outcome.expect(False, f"{case.what}: {wrong}: {said[:600]}")
            outcome.expect(took < MOST_SECONDS, f"{case.what} took {took:.2f} s")
    outcome.expect(had_keras or "keras" not in sys.modules, "Keras was imported")
    return outcome


def cases(count: int, folder: Path, seed: int = 0) -> Iterator[Case]:
    """Yield so many cases; a plan's file is written to the folder just before its case comes."""
    draw = random.Random(seed)
    (folder / "good.toml").write_text("[batch]\nsize = 32\n", encoding="utf-8")
    (folder / "folder.toml").mkdir(exist_ok=True)
    for number in range(count):
        # Plans and command lines by turns, each kind of either as often as the others.
        group = PLANS if number % 2 else COMMAND_LINES
        yield group[draw.randrange(len(group))](draw, folder)


def _wrong(case: Case, code: object, said: str) -> Iterator[str]:
    if code not in case.codes:
        yield f"exit code {code}"
    if "Traceback" in said:
        yield "a traceback"
    if code != 2:
        return
    form = FORM.fullmatch(said)
    if form is None:
        yield "no message in three parts"
    elif form[1] not in all_entries():
        yield f"{form[1]} is no identifier"
    elif case.identifier not in ("", form[1]):
        yield f"{form[1]} in the place of {case.identifier}"
    if len(said) > MOST_LETTERS or any(not c.isprintable() for c in said.replace("\n", "")):
        yield "too long, or with what a terminal obeys"
    for part in case.says:
        if part not in said:
            yield f"without {part!r}"
    if case.typo is not None:
        yield from _not_the_nearest(*case.typo, said)


def _not_the_nearest(given: str, names: tuple[str, ...], said: str) -> Iterator[str]:
    offered = re.search(r"Did you mean '([^']+)'", said)
    best = max(nearness(given.lower(), name) for name in names)
    if offered is None or nearness(given.lower(), offered[1]) < best or offered[1] not in names:
        yield "the nearest key is not offered"


def _called(arguments: tuple[str, ...]) -> tuple[object, str]:
    """Return the exit code and what was written to standard error."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
            code: object = "none"
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"[:300]
    err.flush()
    return code, err.buffer.getvalue().decode()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within it no process is started, and what is written lands in the folder."""

    begin = subprocess.Popen

    def refuse(command: list[str], *arguments: object, **settings: object) -> subprocess.Popen:
        # The name of the processor, which Python asks for in this way.
        if command[0] == "uname":
            return begin(command, *arguments, **settings)  # type: ignore[call-overload]
        raise RuntimeError(f"a process was started: {command}"[:200])

    before = Path.cwd()
    os.chdir(folder)
    home = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    try:
        with mock.patch.object(subprocess, "Popen", refuse), mock.patch.dict(os.environ, home):
            yield
    finally:
        os.chdir(before)
