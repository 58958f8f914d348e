"""Tasks of scripts and notebooks, written by value and loaded in a fresh process."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slipstream.errors import TaskError
from slipstream.task import Task
from slipstream.tasks import absolute, names, resolve
from slipstream.tasks.by_value import write_by_value

SCRIPT = """
import sys
from pathlib import Path

import helper
from slipstream.task import Task
from slipstream.tasks.by_value import write_by_value

SCALE = 3.0


def load():
    return [helper.BASE * SCALE], [1.0]


task = Task(model=lambda: None, data=load, loss="mse", name="mine")
write_by_value(task, Path(sys.argv[1]))
"""


def test_a_scripts_task_is_rebuilt_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "script.py").write_text(SCRIPT)
    (tmp_path / "code" / "helper.py").write_text("BASE = 2.0\n")
    file = tmp_path / "mine.task.pkl"
    subprocess.run([sys.executable, tmp_path / "code" / "script.py", file], check=True, timeout=60)
    load = f"from slipstream.tasks import resolve; print(resolve({str(file)!r}).data())"
    done = subprocess.run(
        [sys.executable, "-c", load],
        check=True, timeout=60, capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    assert done.stdout == "([6.0], [1.0])\n"


def test_its_file_is_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = Task(model=lambda: None, data=lambda: None, loss="mse", name="mine")
    write_by_value(task, Path("mine.task.pkl"))
    assert absolute("mine.task.pkl") == str(tmp_path / "mine.task.pkl")
    assert resolve("mine.task.pkl").name == "mine"
    assert "by_value" not in names()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    lock = threading.Lock()
    task = Task(model=lambda: lock, data=lambda: None, loss="mse")
    with pytest.raises(TaskError, match="lock"):
        write_by_value(task, tmp_path / "mine.task.pkl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        pickle.dumps([1]),
        pickle.dumps({"version": 1, "python": "2.7", "path": [], "task": b""}),
    ],
)
def test_a_file_that_is_no_such_task_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.task.pkl").write_bytes(content)
    with pytest.raises(TaskError, match="written by"):
        resolve(str(tmp_path / "mine.task.pkl"))
    with pytest.raises(TaskError, match="FileNotFoundError"):
        resolve(str(tmp_path / "other.task.pkl"))
