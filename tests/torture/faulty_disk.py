"""A disk that fails, fills up, or loses power at one of the calls made to it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "close", "mkdir", "rename", "unlink", "rmdir")
NEED_ROOM = ("open", "write", "fsync", "mkdir")
# One call fails; all that need room fail from there on; the process dies; the power goes.
WAYS = ("error", "full", "death", "power cut")


class DiedError(BaseException):
    """Nothing is done from here on."""


@dataclass
class _Unsynced:
    """What a loss of power takes back: a new name, a new place, or what is in a file."""

    kind: str
    path: Path
    before: Path | None = None


@dataclass
class FaultyDisk:
    """Stands between the calls of `os` and one folder.

    Syncing is noted and not done: a loss of power is played here, and the disk's own is not tested.

    Args:
        folder: The folder. Calls that concern others go through.
        at: The call that fails, from 0; None if none does.
        way: How; see WAYS.
        code: The error's number.
        hears_syncs: Whether syncing helps against a loss of power.
    """

    folder: Path
    at: int | None = None
    way: str = "error"
    code: int = 0
    hears_syncs: bool = True
    calls: int = 0
    has_failed: bool = False
    _paths: dict[int, Path] = field(default_factory=dict)
    _unsynced: list[_Unsynced] = field(default_factory=list)
    _real: dict[str, Callable[..., Any]] = field(default_factory=dict)

    @contextlib.contextmanager
    def put_in(self) -> Iterator[None]:
        """Let all calls of this process go through here; then take what a loss of power takes."""
        self._real = {name: getattr(os, name) for name in CALLS}
        try:
            for name in CALLS:
                setattr(os, name, self._call(name))
            yield
        finally:
            for name, call in self._real.items():
                setattr(os, name, call)
            if self.way == "power cut" and self.has_failed:
                self._cut_power()

    def _call(self, name: str) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **named: Any) -> Any:
            if self._is_ours(first, named):
                self._meet(name, first, rest)
            result = None if name == "fsync" else self._real[name](first, *rest, **named)
            self._note(name, first, rest, result)
            return result

        return call

    def _is_ours(self, first: Any, named: dict[str, Any]) -> bool:
        if isinstance(first, int) or named.get("dir_fd") is not None:
            return (first if isinstance(first, int) else named["dir_fd"]) in self._paths
        return Path(first).is_relative_to(self.folder)

    def _meet(self, name: str, first: Any, rest: tuple[Any, ...]) -> None:
        """Fail if it is time; half of what was to be written is written before."""
        now = self.calls == self.at
        self.calls += 1
        is_dead = self.has_failed and self.way in ("death", "power cut")
        is_full = self.has_failed and self.way == "full" and _needs_room(name, rest)
        if not (now or is_dead or is_full):
            return
        self.has_failed = True
        if name == "write" and now:
            self._real["write"](first, rest[0][: len(rest[0]) // 2])
        if name == "close":
            self._real["close"](first)
            self._paths.pop(first, None)
        if self.way in ("death", "power cut"):
            raise DiedError
        raise OSError(self.code, os.strerror(self.code))

    def _note(self, name: str, first: Any, rest: tuple[Any, ...], result: Any) -> None:
        if name == "open" and Path(first).is_absolute():
            self._paths[result] = Path(first)
        elif name == "close":
            self._paths.pop(first, None)
        if self.way == "power cut":
            self._note_unsynced(name, first, rest)

    def _note_unsynced(self, name: str, first: Any, rest: tuple[Any, ...]) -> None:
        if name == "open" and rest[0] & os.O_CREAT:
            self._unsynced += [_Unsynced(kind, Path(first)) for kind in ("name", "content")]
        elif name == "mkdir":
            self._unsynced.append(_Unsynced("name", Path(first)))
        elif name == "rename":
            self._move(Path(first), Path(rest[0]))
        elif name == "fsync" and self.hears_syncs:
            path = self._paths.get(first)
            self._unsynced = [e for e in self._unsynced if not _is_synced(e, path)]

    def _move(self, before: Path, after: Path) -> None:
        for entry in self._unsynced:
            if entry.path.is_relative_to(before):
                entry.path = after / entry.path.relative_to(before)
        self._unsynced.append(_Unsynced("place", after, before))

    def _cut_power(self) -> None:
        for entry in reversed(self._unsynced):
            if not entry.path.is_relative_to(self.folder) or not entry.path.exists():
                continue
            if entry.kind == "content":
                entry.path.write_bytes(bytes(entry.path.stat().st_size))
            elif entry.before is not None:
                entry.path.rename(entry.before)
            elif entry.path.is_dir():
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink()


def _needs_room(name: str, rest: tuple[Any, ...]) -> bool:
    return name in NEED_ROOM and (name != "open" or bool(rest[0] & os.O_CREAT))


def _is_synced(entry: _Unsynced, path: Path | None) -> bool:
    return path == (entry.path if entry.kind == "content" else entry.path.parent)
