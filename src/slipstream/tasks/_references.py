"""From a reference to a task: a built-in name, a file, an import path, or a handed-over folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from pathlib import Path

from slipstream.errors import TaskError
from slipstream.task import Task
from slipstream.tasks._user_code import load_file, load_module, pick_task

PACKAGE = "slipstream.tasks"
NOT_A_TASK = ("by_value", "hand_over")
BY_VALUE = ".task.pkl"


def names() -> tuple[str, ...]:
    """Return the names of the built-in tasks.

    Example:
        >>> "digits" in names()
        True
    """
    folder = [str(Path(__file__).parent)]
    return tuple(
        module.name
        for module in pkgutil.iter_modules(folder)
        if not module.name.startswith("_") and module.name not in NOT_A_TASK
    )


def describe(name: str) -> str:
    """Return what a built-in task is, in one line; raises TaskError for an unknown name.

    Example:
        >>> describe("digits").startswith("1,797 handwritten digits")
        True
    """
    module = importlib.import_module(f"{PACKAGE}.{_check_name(name)}")
    return (module.__doc__ or "").strip().splitlines()[0]


def resolve(reference: str) -> Task:
    """Rebuild a task from its reference.

    Args:
        reference: A built-in name ("digits"); a Python file ("my_task.py", or "my_task.py:name"
            where it holds several tasks); an import path ("package.module:name"); a folder that
            `hand_over` wrote; or a file that `write_by_value` wrote (".task.pkl").

    Returns:
        The task. Neither its model is built nor its data are loaded.

    Raises:
        TaskError: There is no such task, or its code does not import.

    Example:
        >>> resolve("digits").monitor
        'val_accuracy'
    """
    if reference in names():
        return _builtin(reference)
    location, name = _split(reference)
    path = Path(location).expanduser()
    if location.endswith(".py"):
        return load_file(path, name)
    if location.endswith(BY_VALUE):
        from slipstream.tasks.by_value import task_from_file

        return task_from_file(path)
    if location and path.is_dir():
        from slipstream.tasks.hand_over import task_from_folder

        return task_from_folder(path)
    if name is not None:
        return _from_module(location, name)
    if "/" in reference or "\\" in reference:
        raise TaskError(
            "a Python file or a folder that a task was handed over to",
            f"{reference}, which does not exist",
            "Check the path; a file's name ends in .py.",
            code="SLP-202",
        )
    return _builtin(_check_name(reference))


def absolute(reference: str) -> str:
    """Return the reference as any process in any folder understands it.

    Example:
        >>> absolute("digits")
        'digits'
    """
    if reference in names():
        return reference
    location, name = _split(reference)
    path = Path(location).expanduser()
    if not location or not (location.endswith((".py", BY_VALUE)) or path.is_dir()):
        return reference
    return str(path.resolve()) + (f":{name}" if name else "")


def _builtin(name: str) -> Task:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    task = module.TASK
    assert isinstance(task, Task)
    return task


def _from_module(module_name: str, name: str) -> Task:
    # As with python -m, modules in the folder one stands in can be imported.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = load_module(module_name)
    return pick_task(module, name, f"the module {module_name}")


def _split(reference: str) -> tuple[str, str | None]:
    # Only a name can follow the colon: C:\tasks\mine.py has none.
    location, colon, name = reference.rpartition(":")
    return (location, name) if colon and name.isidentifier() else (reference, None)


def _check_name(name: str) -> str:
    known = names()
    if name in known:
        return name
    nearest = difflib.get_close_matches(name.strip().lower(), known, n=1, cutoff=0.5)
    instead = f"Did you mean '{nearest[0]}'? " if nearest else ""
    if name.strip().endswith(".toml"):
        instead = "That is a plan's file: the task comes first, or the plan behind --plan. "
    elif name and Path(name).is_file():
        instead = "The name of a Python file ends in .py. "
    raise TaskError(
        "the name of a built-in task, a Python file, package.module:name or a handed-over folder",
        f"'{name}'",
        f"{instead}Built in are {', '.join(known)}.",
        code="SLP-201",
    )
