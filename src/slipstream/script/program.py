"""A script as Python itself runs it: its own `__main__`, arguments and search path."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from slipstream.errors import InputError

NOTEBOOK = ".ipynb"


def read_source(path: str) -> bytes:
    """Return the source of a script, after a look at whether it can be one.

    Args:
        path: The script, as the user wrote it.

    Raises:
        InputError: There is no such file, or it is a folder, a notebook or no text.
    """
    place = Path(path)
    # Path.is_dir raises where a name is too long.
    if os.path.isdir(path):  # noqa: PTH112
        raise _no_script(f"{path}, which is a folder", "Name the file in it that trains.")
    if place.suffix == NOTEBOOK:
        raise _no_script(
            f"{path}, which is a notebook",
            f"Run: jupyter nbconvert --to script {path}; then run the .py file.",
        )
    try:
        source = place.read_bytes()
    except FileNotFoundError:
        raise _no_script(f"{path}, which does not exist", "Check the path.") from None
    except OSError as error:
        raise _no_script(f"{path}: {error.strerror or error}", "Check the file.") from None
    if b"\0" in source:
        raise _no_script(f"{path}, which is no text", "Name the source, not what it became.")
    return source


def execute(path: str, arguments: Sequence[str], source: bytes) -> None:
    """Run a script in this process as `python path arguments` would.

    `__main__` stays the script's when it has ended: what it left for the end of the process
    (`atexit`, threads) still finds its names.

    Args:
        path: The script, as the user wrote it.
        arguments: What follows it.
        source: Its content.

    Raises:
        BaseException: Whatever the script raises.
    """
    file = absolute(path)
    # The command line puts its own in place.
    sys.excepthook = sys.__excepthook__
    sys.argv[:] = [path, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(file))  # noqa: PTH120
    module = ModuleType("__main__")
    names: dict[str, Any] = vars(module)
    names.update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=None,
        __file__=file,
        __loader__=SourceFileLoader("__main__", file),
    )
    sys.modules["__main__"] = module
    # Nothing of this file's own `from __future__` may change what the script means.
    exec(compile(source, file, "exec", dont_inherit=True), names)


def absolute(path: str) -> str:
    """Return `__file__` of a script that was started as `python path`.

    Example:
        >>> absolute("/a/../b.py")
        '/a/../b.py'
    """
    # Python joins and leaves the rest, symbolic links and "..", as it is.
    return os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118


def _no_script(came: str, mend: str) -> InputError:
    return InputError("a Python script", came, mend, code="SLP-026")
