"""A script's error as Python would print it: without the frames that Slipstream put in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

PACKAGE = str(Path(__file__).parents[1]) + os.sep
IMPORT_SYSTEM = "<frozen importlib"


def show(error: BaseException) -> None:
    """Print an error as Python prints one that nobody caught, by the script's own hook if any."""
    for one in family(error):
        one.__traceback__ = without_our_frames(one.__traceback__)
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:
        sys.__excepthook__(type(error), error, error.__traceback__)


def family(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the members of groups, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [one.__cause__, one.__context__, *members]


def without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without frames of this package and the import system's beside them."""
    entries = list(_entries(traceback))
    files = [entry.tb_frame.f_code.co_filename for entry in entries]
    dropped = {number for number, file in enumerate(files) if file.startswith(PACKAGE)}
    # Python hides the import system where it calls a module directly; our hook stands in between.
    for numbers in (range(len(files)), reversed(range(len(files)))):
        near = False
        for number in numbers:
            near = number in dropped or (near and files[number].startswith(IMPORT_SYSTEM))
            if near:
                dropped.add(number)
    rest: TracebackType | None = None
    for number in reversed(range(len(entries))):
        if number not in dropped:
            entry = entries[number]
            rest = TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rest


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
