"""What checkpoints ask of the operating system, with nothing hidden behind a buffer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from slipstream.files import sync_folder

CHUNK_BYTES = 1 << 22
# Names are followed to no other place; a pipe in a file's place keeps nobody waiting.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_OLD = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@dataclass(frozen=True)
class Written:
    """A file that rests on the disk: its size and its SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


def write_file(path: Path, parts: Iterable[bytes | memoryview]) -> Written:
    """Write a new file from bytes and sync it."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, _NEW, 0o666)
    try:
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), CHUNK_BYTES):
                chunk = view[start : start + CHUNK_BYTES]
                digest.update(chunk)
                _write_all(descriptor, chunk)
            size += len(view)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Written(size, digest.hexdigest())


def _write_all(descriptor: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, each of them synced; nothing if it is there."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)  # noqa: PTH102
    # Names can be made in a folder that must not be read; the system will sync it when it will.
    with contextlib.suppress(PermissionError):
        sync_folder(folder.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder as far as it can be removed; links in it are removed, not followed."""
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[tuple[FileIO, int]]:
    """Open a plain file to be read, and tell its size.

    Raises:
        OSError: It is missing, a link, or cannot be opened.
        ValueError: It is no file.
    """
    descriptor = os.open(path, _OLD)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is no file")
    with FileIO(descriptor) as file:
        yield file, status.st_size


def read_into(file: FileIO, buffer: memoryview) -> None:
    """Fill a buffer from a file.

    Raises:
        ValueError: The file ends before.
    """
    while buffer:
        count = file.readinto(buffer[:CHUNK_BYTES])
        if not count:
            raise ValueError("the file ended while it was read")
        buffer = buffer[count:]
