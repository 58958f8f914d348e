"""`slipstream run` beside `python`: the same output, names and exit code; no Keras here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLIPSTREAM = (sys.executable, "-c", "from slipstream.cli import main; main()", "run")
PYTHON = (sys.executable,)
MARK = "slipstream: "

WHAT_IT_SEES = """
from __future__ import annotations
import atexit, inspect, os, pickle, sys

class Thing:
    value: int

def here(): ...

print(__name__, __file__, __package__, __spec__, __doc__, __annotations__, __builtins__)
print(type(__loader__).__name__, __loader__.path)
print(sys.argv, sys.path[0], os.getcwd())
print(sys.modules["__main__"].Thing is Thing, pickle.loads(pickle.dumps(Thing)) is Thing)
print(inspect.getsource(here), here.__module__, sys.excepthook is sys.__excepthook__)
import neighbour
print(neighbour.NAME)
atexit.register(lambda: print("at the end", Thing.__name__))
print("to standard error", file=sys.stderr)
"""
CAUSED = """
import os
os.chdir("/")
def inner():
    {}["key"]
def outer():
    try:
        inner()
    except KeyError as error:
        raise ValueError("outer") from error
outer()
"""


def start(
    program: tuple[str, ...], *arguments: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def without_ours(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not line.startswith(MARK))


@pytest.mark.parametrize("place", ["train.py", "./train.py", "below/../train.py", "link.py"])
def test_a_script_sees_what_it_sees_under_python(place: str, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "train.py").write_text(WHAT_IT_SEES)
    (tmp_path / "neighbour.py").write_text("NAME = __name__")
    (tmp_path / "link.py").symlink_to(tmp_path / "train.py")
    arguments = (place, "--epochs", "3", "--help", "--", "--backend", "x")
    plain = start(PYTHON, *arguments, folder=tmp_path)
    ours = start(SLIPSTREAM, *arguments, folder=tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert ours.stdout == plain.stdout
    assert without_ours(ours.stderr) == plain.stderr
    assert MARK in ours.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("raise SystemExit", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('why')", 1),
        ("raise SystemExit(None)", 0),
    ],
)
def test_exit_codes_pass_through(source: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(source)
    plain = start(PYTHON, "train.py", folder=tmp_path)
    ours = start(SLIPSTREAM, "train.py", folder=tmp_path)
    assert ours.returncode == plain.returncode == code
    assert without_ours(ours.stderr) == plain.stderr


@pytest.mark.parametrize(
    "source",
    [
        CAUSED,
        "def f(:\n",
        "import no_such_module",
        "import sys\nsys.excepthook = lambda *given: print(given[0], file=sys.stderr)\n1 / 0",
        "raise ExceptionGroup('two', [ValueError('a'), TypeError('b')])",
    ],
    ids=["causes", "syntax", "no module", "own hook", "group"],
)
def test_an_early_error_is_shown_as_python_shows_it(source: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(source)
    plain = start(PYTHON, "train.py", folder=tmp_path)
    ours = start(SLIPSTREAM, "train.py", folder=tmp_path)
    assert (plain.returncode, ours.returncode) == (1, 1)
    assert without_ours(ours.stderr) == plain.stderr
    *_, last = ours.stderr.splitlines()
    assert last == "slipstream: train.py ended before it imported Keras; nothing was trained"


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import pathlib, time\npathlib.Path('ready').touch()\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [*SLIPSTREAM, "train.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    for _ in range(300):
        if (tmp_path / "ready").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    lines = without_ours(told).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyboardInterrupt"
    assert "slipstream/" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.py"], "does not exist"),
        (["."], "a folder"),
        (["book.ipynb"], "nbconvert"),
        (["--backend", "theano", "train.py"], "theano"),
        (["--out", "full", "train.py"], "one that holds"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_message(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("print('never')")
    (tmp_path / "book.ipynb").write_text("{}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/record.json").write_text("precious")
    done = start(SLIPSTREAM, *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("Error SLP-") == 1
    assert "Traceback" not in done.stderr


def test_auto_says_why_a_script_stays(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import sys\nif len(sys.argv) > 9:\n    import torch")
    done = start(SLIPSTREAM, "--backend", "auto", "train.py", folder=tmp_path)
    assert done.returncode == 0
    assert "stays on its own backend: " in done.stderr
