"""The checkpoints of a run folder."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from slipstream.checkpoint._disk import make_folder, remove_tree
from slipstream.checkpoint._manifest import Name, NewerVersionError
from slipstream.checkpoint._reading import DamagedError, read
from slipstream.checkpoint._troubles import told_as_storage_error
from slipstream.checkpoint._writing import PART, Draft
from slipstream.checkpoint.lock import RunLock
from slipstream.checkpoint.snapshot import Found, Saved, Snapshot
from slipstream.errors import InputError, RecordError

FOLDER = "checkpoints"
_GONE = ".gone"
_PART_NAME = re.compile(rf"[0-9]{{8,18}}-[0-9a-f]{{32}}\{PART}")


class CheckpointStore:
    """The checkpoints in a run folder, under `checkpoints/`.

    Args:
        folder: The run folder. Nothing is made or changed in it before the first `save`.
        keep: How many of the newest are kept, 2 or more. The best one is kept besides.
        lock: The lock on this folder. Who only reads needs none.

    Example:
        >>> import tempfile, numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> with RunLock(folder) as lock:
        ...     store = CheckpointStore(folder, lock=lock)
        ...     saved = store.save(Snapshot({"w": np.ones(3)}, {"losses": [0.5]}, update=7))
        >>> CheckpointStore(folder).latest().snapshot.values
        {'losses': [0.5]}
    """

    def __init__(self, folder: Path, *, keep: int = 2, lock: RunLock | None = None) -> None:
        if keep < 2:
            raise ValueError("keep is 2 or more: a checkpoint that is damaged has one before it")
        self.folder = folder
        self.keep = keep
        self.lock = lock
        self._root = folder / FOLDER
        self._is_swept = False
        self._damaged: set[Name] = set()

    def save(self, snapshot: Snapshot, *, best: bool = False) -> Saved:
        """Commit a checkpoint; when this returns, it outlives a loss of power.

        What a crash left behind is swept by the first call. Older checkpoints are removed after
        the new one is committed; those that were found damaged do not count among the kept ones.

        Args:
            snapshot: What to keep.
            best: Whether it is the best so far: it is kept until a better one is committed.

        Raises:
            ValueError: The lock is not held, or is another folder's.
            InputError: The snapshot holds what cannot be kept, such as objects.
            StorageError: The disk is full, read-only, or fails. What was committed before is
                intact; nothing is left of the new one where that can be had.
        """
        self._refuse_unlocked()
        start, draft = time.perf_counter(), Draft(snapshot)
        with told_as_storage_error(self._root, draft.num_bytes, self._kept()):
            self._make_ready()
            number = 1 + max((name.number for name in self._names()), default=0)
            path = draft.commit(self._root, number, best)
        self._remove_old()
        seconds = time.perf_counter() - start
        return Saved(path, snapshot.update, _size(path), seconds)

    def is_empty(self) -> bool:
        """Whether nothing was committed here; what is there may still be damaged."""
        return not self._names()

    def latest(self) -> Found | None:
        """Return the checkpoint that was committed last and is intact, or None if there is none.

        Last is meant in the order of commits, not of updates: a training that went back to an
        earlier update goes on from where it then was.

        Raises:
            RecordError: There are some, but all are damaged, or the newest was written by a newer
                version.
        """
        return self._newest(self._names())

    def best(self) -> Found | None:
        """Return the checkpoint that was last saved as the best and is intact; see `latest`."""
        return self._newest(name for name in self._names() if name.best)

    def _refuse_unlocked(self) -> None:
        lock = self.lock
        if lock is None or not lock.is_held or lock.folder.absolute() != self.folder.absolute():
            raise ValueError(f"{self.folder} is not locked by who writes to it")

    def _newest(self, names: Iterable[Name]) -> Found | None:
        skipped: list[str] = []
        for name in names:
            path = self._root / str(name)
            try:
                return Found(read(path), path, tuple(skipped))
            except DamagedError as error:
                # Who reads without the lock may find one gone that was there a moment ago.
                if os.path.lexists(path):
                    self._damaged.add(name)
                    skipped.append(f"{_told(name)} is damaged: {error}.")
            except NewerVersionError as error:
                raise RecordError(
                    f"checkpoints of this version of Slipstream in {self._root}",
                    f"{name} with {error}",
                    "Go on with the version that wrote it, or begin anew in another folder.",
                    code="SLP-613",
                ) from None
        if not skipped:
            return None
        raise RecordError(
            f"an intact checkpoint in {self._root}",
            " ".join(skipped).removesuffix("."),
            "Begin anew in another folder, or bring the checkpoints back from a backup.",
            code="SLP-614",
        )

    def _names(self) -> list[Name]:
        """Return what was committed, the newest first."""
        found = (Name.parse(text) for text in self._listed())
        return sorted((name for name in found if name is not None), reverse=True)

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self._root)  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(
                f"a folder of checkpoints at {self._root}",
                f"one that cannot be read ({error.strerror})",
                "Make it readable, or name another run folder with --out.",
                code="SLP-615",
            ) from None

    def _kept(self) -> str:
        names = self._names()
        if not names:
            return "No checkpoint was written before."
        return f"{_told(names[0])}, the last one before, is untouched."

    def _make_ready(self) -> None:
        if self._root.is_symlink():
            raise InputError(
                f"a folder of its own at {self._root}",
                "a link to somewhere else",
                "Remove the link. To keep a run on another disk, let --out name a folder there.",
                code="SLP-616",
            )
        make_folder(self._root)
        if not self._is_swept:
            for text in self._listed():
                if _is_left_over(text):
                    remove_tree(self._root / text)
            self._is_swept = True

    def _remove_old(self) -> None:
        """Remove what is not to be kept. What cannot be removed now is tried again each time."""
        names = self._names()
        intact = [name for name in names if name not in self._damaged]
        kept = {*intact[: self.keep], *[name for name in intact if name.best][:1]}
        for name in names:
            path = self._root / str(name)
            gone = path.with_name(path.name + _GONE)
            # Renamed first: half a checkpoint never stands under the name of a whole one.
            if name not in kept:
                with contextlib.suppress(OSError):
                    os.rename(path, gone)  # noqa: PTH104
                    remove_tree(gone)


def _told(name: Name) -> str:
    return f"The checkpoint of update {name.update} ({name})"


def _is_left_over(text: str) -> bool:
    """Whether a crash left it: never committed, or about to be removed."""
    is_gone = text.endswith(_GONE) and Name.parse(text.removesuffix(_GONE)) is not None
    return is_gone or _PART_NAME.fullmatch(text) is not None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
