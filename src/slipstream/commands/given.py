"""What a command is given as a value, written so that fresh processes can rebuild it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from slipstream import tasks
from slipstream.commands.folders import TASK_FILE, TASK_FOLDER, holds_results
from slipstream.errors import TaskError
from slipstream.progress import Listener, Notice
from slipstream.task import Task


def reference_to(
    task: Any,
    x: Any,
    y: Any,
    handed: Mapping[str, Any],
    folder: Path,
    resume: bool,
    listener: Listener,
) -> str:
    """Return a reference from which fresh processes rebuild what was given."""
    is_task = isinstance(task, str | Path | Task)
    if is_task and (x is not None or y is not None or handed):
        given = ", ".join(["x and y"] * (x is not None or y is not None) + sorted(handed))
        raise TaskError(
            "arrays and their settings beside a compiled Keras model",
            f"{given} beside a {type(task).__name__}",
            "A task has its own data, target and monitor: leave them away.",
            code="SLP-239",
        )
    if isinstance(task, str | Path):
        return str(task)
    # What a command that came to nothing was given is nothing to go on with.
    goes_on = resume and holds_results(folder)
    if isinstance(task, Task):
        return _of_task(task, folder / TASK_FILE, goes_on)
    return _of_model(task, x, y, handed, folder / TASK_FOLDER, goes_on, listener)


def _of_task(task: Task, file: Path, resume: bool) -> str:
    known = _where_it_stands(task)
    if known is not None:
        return known
    if not (resume and file.is_file()):
        from slipstream.tasks.by_value import write_by_value

        write_by_value(task, file)
    return str(file)


def _of_model(
    model: Any,
    x: Any,
    y: Any,
    handed: Mapping[str, Any],
    folder: Path,
    resume: bool,
    listener: Listener,
) -> str:
    from slipstream.tasks.hand_over import hand_over, read_notes

    if not callable(getattr(model, "get_compile_config", None)):
        raise TaskError(
            "a slipstream.Task, a reference to one, or a compiled Keras model with x and y",
            f"a {type(model).__name__}",
            "Give one of these; 'slipstream tasks' lists the built-in tasks.",
            code="SLP-240",
        )
    if not (resume and folder.is_dir()):
        hand_over(model, x, y, folder=folder, **handed)
    for note in read_notes(folder):
        listener(Notice(note))
    return str(folder)


def _where_it_stands(task: Task) -> str | None:
    """Return the import path of a task that stands in a module any process here can import."""
    for name, module in list(sys.modules.items()):
        file = module.__dict__.get("__file__") if isinstance(module, ModuleType) else None
        if name == "__main__" or file is None:
            continue
        for key, value in list(vars(module).items()):
            if value is task:
                builtin = name.removeprefix("slipstream.tasks.")
                if builtin in tasks.names():
                    return builtin
                root = Path(file).resolve().parents[name.count(".")]
                return f"{name}:{key}" if _is_found_anew(root) else None
    return None


def _is_found_anew(root: Path) -> bool:
    return root == Path.cwd().resolve() or "site-packages" in root.parts
