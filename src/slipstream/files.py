"""Writing files so that nothing is ever lost: beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Far above what is ever written, and far below what hurts: values take some 25 times their text.
MOST_TEXT_BYTES = 16 << 20
# What is read is written again, and told: each level takes its place on Python's stack.
MOST_LEVELS = 100
# What file systems answer that have no notion of syncing a folder.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF})
_PART = re.compile(r".+\.[0-9a-f]{32}\.part", re.DOTALL)


def cache_folder() -> Path:
    """Return where things are kept that can be found out again: one folder for each user.

    SLIPSTREAM_CACHE_DIR names another; else it lies where the XDG specification says.

    Source: XDG Base Directory Specification, version 0.8.
    """
    named = os.environ.get("SLIPSTREAM_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "slipstream"


def is_other_than_file(path: str | os.PathLike[str]) -> bool:
    """Whether a pipe, a device or a folder stands there, which may have no end.

    Example:
        >>> is_other_than_file("/")
        True
    """
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        # Whoever opens it says so.
        return False


def read_text(path: Path, most_bytes: int = MOST_TEXT_BYTES, *, pipes: bool = False) -> str:
    """Return the text of a file that may come from anybody.

    Args:
        path: The file.
        most_bytes: How long it may be.
        pipes: Whether it may be a pipe, as of `<(command)`: nobody knows when that one ends.

    Raises:
        OSError: It cannot be read.
        ValueError: It is longer, no text, or no file.
    """
    if not pipes and is_other_than_file(path):
        raise ValueError("no file, but a pipe, a device or a folder")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"more than {most_bytes:,} bytes")
    return content.decode("utf-8")


def read_json(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """Return the values of a JSON file that may come from anybody.

    Raises:
        OSError: It cannot be read.
        ValueError: It is longer, no JSON, or nested without end.
    """
    return values_in(read_text(path, most_bytes))


def values_in(text: str | bytes, most_levels: int = MOST_LEVELS) -> Any:
    """Return the values of a JSON text that may come from anybody.

    Raises:
        ValueError: It is no JSON, or nested without end.

    Example:
        >>> values_in('{"a": [1]}')
        {'a': [1]}
    """
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError("values nested too deeply") from None
    level, num_levels = [values], 0
    while level:
        num_levels += 1
        if num_levels > most_levels:
            raise ValueError("values nested too deeply")
        level = [inner for value in level for inner in _within(value)]
    return values


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def write_text(path: Path, text: str) -> Path:
    """Write a text file; a reader sees the old file or the new one, never half of either.

    Args:
        path: Its place; missing folders are made.
        text: Its content. Half a surrogate pair, which no file can hold, becomes "?".

    Returns:
        The path.
    """
    return write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file; see `write_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: others may write the same file at the same time.
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path


def is_part(name: str) -> bool:
    """Whether a file of that name was being written when its process was killed.

    Example:
        >>> is_part(f"study.json.{uuid.uuid4().hex}.part"), is_part("my.part")
        (True, False)
    """
    return _PART.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what was being written in a folder, or below, when a process was killed.

    Only for the folder's one writer.
    """
    for path in folder.rglob("*.part"):
        if is_part(path.name):
            path.unlink(missing_ok=True)


def whole_lines(path: Path) -> None:
    """Take away half a last line, which a process leaves that was killed while it wrote.

    What is appended would stand behind it on the same line, and neither could be read.

    Args:
        path: A file of lines; it need not be there.
    """
    if not path.exists():
        return
    written = path.read_bytes()
    whole = written.rfind(b"\n") + 1
    if whole < len(written):
        os.truncate(path, whole)


def put_in_place(beside: Path, path: Path) -> None:
    """Give a file that was written beside its place the name that it is read by.

    What stood there stays until all of the new one rests on the disk.
    """
    # Not read alone: Windows syncs only what may be written to.
    with beside.open("r+b") as file:
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Keep the names in a folder through a loss of power, where the file system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)
