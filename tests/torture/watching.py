"""What a process may not do while it reads a file of somebody else, and how it is caught."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of Python's own audit, by what they begin with: each runs something, or changes something
# outside.
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.kill", "pty.",
    "subprocess.", "socket.", "ssl.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.",
    "pickle.find_class", "ctypes.", "shutil.", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
    "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.chflags", "os.utime",
    "os.chdir", "os.setxattr", "os.putenv", "tempfile.", "sqlite3.", "signal.", "syslog.",
    "cpython.run",
)  # fmt: skip
LIBRARIES = tuple({str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix)})


class CaughtError(BaseException):
    """Something that was forbidden; no reader may take it for an error of its own."""


class Watch:
    """Sees every event of the interpreter from here on; forbids some while it is on.

    A hook cannot be taken away again: this is for a process of its own.
    """

    def __init__(self) -> None:
        self._on = False
        self.caught: list[str] = []
        self._sources = (*LIBRARIES, str(Path(__file__).parents[2] / "src"))
        sys.addaudithook(self._hear)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Forbid, within a block."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _hear(self, event: str, values: tuple[Any, ...]) -> None:
        if self._on and self._is_forbidden(event, values):
            self.caught.append(f"{event} {values!r:.200}")
            raise CaughtError(self.caught[-1])

    def _is_forbidden(self, event: str, values: tuple[Any, ...]) -> bool:
        if event == "open":
            mode, flags = values[1], values[2]
            asks = bool(isinstance(flags, int) and flags & WRITES)
            return asks or (isinstance(mode, str) and any(mark in mode for mark in "wax+"))
        if event == "exec":
            code = values[0]
            # Modules of libraries that are imported only now are theirs, not the file's.
            return not (isinstance(code, CodeType) and self._is_library(code.co_filename))
        return event.startswith(FORBIDDEN)

    def _is_library(self, source: str) -> bool:
        return source.startswith(("<frozen", *self._sources))


def seen_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything below a folder: what is new, or changed, shows."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found
