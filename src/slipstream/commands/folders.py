"""The folders that commands write into."""

from __future__ import annotations

import re
import time
from pathlib import Path

from slipstream.errors import InputError

RUNS = Path("runs")
REPORT_FILE = "report.html"
PLAN_FILE = "plan.toml"
SCRIPT_FILE = "train.py"
LOG_FOLDER = "logs"
TASK_FOLDER, TASK_FILE = "task", "task.task.pkl"
# What a command that was refused leaves behind: no result.
NO_RESULTS = (LOG_FOLDER, "error.txt", TASK_FOLDER, TASK_FILE)


def default_folder(command: str, reference: str, *, resume: bool = False) -> Path:
    """Return `runs/<task>-<command>-<date-time>`; to go on, the newest one that is there.

    Args:
        command: The name of the command.
        reference: The task.
        resume: Whether the command goes on where it stopped.

    Raises:
        InputError: There is nothing to go on with.

    Example:
        >>> default_folder("fit", "tasks/my_task.py").name[:12]
        'my_task-fit-'
    """
    start = f"{slug(reference)}-{command}-"
    if resume:
        found = sorted(path for path in RUNS.glob(f"{start}*") if path.is_dir())
        if found:
            return found[-1]
        raise InputError(
            f"a folder {RUNS / start}... to go on with",
            "none here",
            "Name the folder with --out, or leave --resume away.",
        )
    return RUNS / f"{start}{time.strftime('%Y%m%d-%H%M%S')}"


def slug(reference: str) -> str:
    """Return a reference as part of a file's name.

    Example:
        >>> slug("tasks/my_task.py:small"), slug("package.module:task")
        ('my_task-small', 'package-module-task')
    """
    location, colon, name = reference.rpartition(":")
    if not colon or not name.isidentifier():
        location, name = reference, ""
    stem = re.sub(r"(\.task\.pkl|\.py)$", "", Path(location).name)
    return re.sub(r"[^A-Za-z0-9_]+", "-", f"{stem}-{name}").strip("-") or "task"


def claim(folder: Path, *, resume: bool = False) -> Path:
    """Make a folder for one command; returns it.

    Raises:
        InputError: It holds something already and is not to be gone on with, or cannot be made.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        holds = next((name for name in names if name not in NO_RESULTS), None)
        if holds is not None and not resume:
            raise InputError(
                f"a new or an empty folder, where {folder} is",
                f"one that holds {holds}",
                "Name another folder with --out, or go on with --resume.",
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"a folder that can be written to at {folder}",
            f"{type(error).__name__}: {error}",
            "Name another folder with --out.",
        ) from None
    return folder
