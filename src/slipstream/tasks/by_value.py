"""A task of a notebook or a script, written by value into a file that any process can load."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

from slipstream.errors import TaskError
from slipstream.files import write_bytes
from slipstream.task import Task

VERSION = 1
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def write_by_value(task: Task, file: Path) -> Path:
    """Write a task, with the functions that it is made of, into one file.

    Functions and classes of the script or notebook itself go along whole, with what they close
    over; those of modules go along by name, and the module is imported again.

    The file holds code: whoever loads it runs it. Load no such file from a stranger.

    Args:
        task: The task.
        file: Where; its name ends in ".task.pkl".

    Returns:
        The file, which is a reference of the task.

    Raises:
        TaskError: Something that the task's functions use cannot be written.

    Example:
        >>> import tempfile
        >>> task = Task(model=lambda: None, data=lambda: ([1.0], [2.0]), loss="mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     task_from_file(write_by_value(task, Path(folder) / "mine.task.pkl")).data()
        ([1.0], [2.0])
    """
    import cloudpickle

    try:
        payload = cloudpickle.dumps(task)
    except Exception as error:  # Objects refuse to be pickled with errors of any kind.
        raise TaskError(
            "a task whose functions can be written to a file",
            f"{type(error).__name__}: {error}".splitlines()[0].removesuffix("."),
            "Open files, locks and the like inside the functions, or put the task into a "
            "Python file of its own.",
            code="SLP-233",
        ) from None
    kept = {"version": VERSION, "python": PYTHON, "path": _path(), "task": payload}
    return write_bytes(file, pickle.dumps(kept))


def task_from_file(file: Path) -> Task:
    """Return the task that `write_by_value` wrote; the file's code is run.

    Raises:
        TaskError: There is no such file, or it cannot be loaded here.
    """
    kept = _read(file)
    sys.path.extend(folder for folder in kept["path"] if folder not in sys.path)
    try:
        task = pickle.loads(kept["task"])
    except Exception as error:
        raise TaskError(
            f"the task in {file} to load",
            f"{type(error).__name__}: {error}".splitlines()[0].removesuffix("."),
            "What its functions import must be importable in a fresh process.",
            code="SLP-234",
        ) from None
    assert isinstance(task, Task)
    return task


def _read(file: Path) -> dict[str, Any]:
    try:
        kept = pickle.loads(file.read_bytes())
        version, python = kept["version"], kept["python"]
    except Exception as error:  # What is no pickle can make it raise anything.
        raise TaskError(
            f"a task written by value in {file}",
            type(error).__name__,
            "Call the command again from the notebook or script that makes the task.",
            code="SLP-235",
        ) from None
    if (version, python) != (VERSION, PYTHON):
        raise TaskError(
            f"a task written by Python {PYTHON} in {file}",
            f"one written by Python {python}",
            "Call the command again from the notebook or script that makes the task.",
            code="SLP-236",
        )
    return dict(kept)


def _path() -> list[str]:
    # The empty entry is the folder that the process stands in.
    return [str(Path(folder or ".").resolve()) for folder in sys.path]
