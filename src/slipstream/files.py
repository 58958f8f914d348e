"""Writing files so that nothing is ever lost: beside their place, synced, then renamed."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


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
    _sync_folder(path.parent)
    return path


def _sync_folder(folder: Path) -> None:
    """Keep a new name through a loss of power; where folders cannot be opened, there is no way."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
