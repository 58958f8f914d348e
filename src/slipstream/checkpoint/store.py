"""The checkpoints of a run folder."""

from __future__ import annotations

from pathlib import Path

from slipstream.checkpoint.lock import RunLock
from slipstream.checkpoint.snapshot import Found, Saved, Snapshot


class CheckpointStore:
    """The checkpoints in a run folder, under `checkpoints/`.

    Args:
        folder: The run folder. Nothing is made or changed in it before the first `save`.
        keep: How many of the newest are kept, 2 or more. The best one is kept besides.
        lock: The lock on this folder. Who only reads needs none.
    """

    def __init__(self, folder: Path, *, keep: int = 2, lock: RunLock | None = None) -> None:
        self.folder = folder
        self.keep = keep
        self.lock = lock

    def save(self, snapshot: Snapshot, *, best: bool = False) -> Saved:
        """Commit a checkpoint; when this returns, it outlives a loss of power.

        What a crash left behind is swept by the first call. Older checkpoints are removed after
        the new one is committed.

        Args:
            snapshot: What to keep.
            best: Whether it is the best so far: it is kept until a better one is committed.

        Raises:
            ValueError: The lock is not held, or is another folder's.
            InputError: The snapshot holds what cannot be kept, such as objects.
            StorageError: The disk is full, read-only, or fails. What was committed before is
                intact; nothing is left of the new one where that can be had.
        """
        raise NotImplementedError

    def latest(self) -> Found | None:
        """Return the checkpoint that was committed last and is intact, or None if there is none.

        Last is meant in the order of commits, not of updates: a training that went back to an
        earlier update goes on from where it then was.

        Raises:
            RecordError: There are some, but all are damaged, or the newest was written by a newer
                version.
        """
        raise NotImplementedError

    def best(self) -> Found | None:
        """Return the checkpoint that was last saved as the best and is intact; see `latest`."""
        raise NotImplementedError
