"""Tasks in a user's own code: import it, find the task in it, and say plainly what went wrong."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from slipstream.errors import SlipstreamError, TaskError
from slipstream.task import Task

USUAL_NAMES = ("task", "TASK")
UNNAMED = "task"
PACKAGE = str(Path(__file__).parents[1])


def load_file(path: Path, name: str | None) -> Task:
    """Import a Python file and return the task in it.

    The file's folder goes to the front of sys.path and stays there, as for a script: the task's
    functions may import their neighbours when they are called.

    Raises:
        TaskError: The file is missing, does not import, or does not say which task is meant.
    """
    path = path.resolve()
    if not path.is_file():
        raise TaskError(
            "a Python file with a task",
            f"{path}, which is not a file",
            "Check the path, or see 'slipstream tasks' for the built-in ones.",
            code="SLP-203",
        )
    task = pick_task(_import_file(path), name, str(path))
    return replace(task, name=path.stem) if task.name == UNNAMED else task


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name; raises TaskError when that fails."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _does_not_import(f"the module {name}", error, None) from None
        raise TaskError(
            f"a module '{name}' that can be imported",
            f"no module named '{error.name}'",
            "Install its package, or run the command in the folder that it is in.",
            code="SLP-204",
        ) from None
    except (Exception, SystemExit) as error:
        raise _does_not_import(f"the module {name}", error, None) from None


def pick_task(module: ModuleType, name: str | None, where: str) -> Task:
    """Return the named task of a module, its only one, or the one called task or TASK.

    Raises:
        TaskError: There is no such task, or there are several and no name was given.
    """
    # Two names for one task are one task.
    tasks = {key: value for key, value in vars(module).items() if isinstance(value, Task)}
    if name is not None:
        return _named(module, name, where, tasks)
    if len({id(task) for task in tasks.values()}) == 1:
        return next(iter(tasks.values()))
    usual = next((tasks[key] for key in USUAL_NAMES if key in tasks), None)
    if usual is not None:
        return usual
    if tasks:
        raise TaskError(
            f"one task in {where}",
            f"{len(tasks)}: {', '.join(tasks)}",
            f"Say which one, like {Path(where).name}:{next(iter(tasks))}.",
            code="SLP-205",
        )
    raise TaskError(
        f"a slipstream.Task in {where}",
        "none",
        "Write task = slipstream.Task(model=..., data=..., loss=...) at its top level.",
        code="SLP-206",
    )


def _named(module: ModuleType, name: str, where: str, tasks: dict[str, Task]) -> Task:
    value = getattr(module, name, None)
    if isinstance(value, Task):
        return value
    came = "no such name" if value is None else f"a {type(value).__name__}"
    mend = f"There: {', '.join(tasks)}." if tasks else "There is no task in it at all."
    raise TaskError(f"a slipstream.Task called '{name}' in {where}", came, mend, code="SLP-207")


def _import_file(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # A name of its own: a file called digits.py or keras.py must not shadow anything.
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"_slipstream_{digest}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise _does_not_import(str(path), error, path) from None
    return module


def _does_not_import(what: str, error: BaseException, path: Path | None) -> TaskError:
    line = _line_in(error, path)
    if isinstance(error, SlipstreamError):
        # It says already what to mend.
        return TaskError(error.expected, f"{error.came}{line}", error.mend, code=error.code)
    text = str(error).strip().splitlines()
    came = type(error).__name__ + (f": {text[0].removesuffix('.')}" if text else "")
    return TaskError(
        f"{what} to import",
        f"{came}{line}",
        "Mend that line; the file is imported in fresh processes, so it must stand on its own.",
        code="SLP-208",
    )


def _line_in(error: BaseException, path: Path | None) -> str:
    """Return where in the user's file it happened, or else the innermost place."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" in {Path(error.filename).name}, line {error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if path is None or Path(frame.filename) == path
    ]
    frames = [frame for frame in frames if not frame.filename.startswith(("<", PACKAGE))]
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
