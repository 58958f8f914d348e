"""Writing checkpoints while the training goes on."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from slipstream.checkpoint.snapshot import Saved, Snapshot
from slipstream.checkpoint.store import CheckpointStore


class BackgroundWriter:
    """Saves to a store in one thread of its own.

    A save while another is under way waits for that one: whatever was handed over is written, and
    no more than two snapshots are in memory. Ask `is_busy` before making a copy that may as well be
    made later. An error of the thread is raised by the next call, and by `close`.

    Args:
        store: Where to; nobody else saves to it meanwhile.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self.store = store

    @property
    def is_busy(self) -> bool:
        """Whether a save is under way, so that the next one would wait."""
        raise NotImplementedError

    @property
    def saved(self) -> tuple[Saved, ...]:
        """What was committed so far, in order."""
        raise NotImplementedError

    @property
    def waited_seconds(self) -> float:
        """How long calls have waited for the thread, the last one included."""
        raise NotImplementedError

    def save(self, snapshot: Snapshot, *, best: bool = False) -> None:
        """Hand a snapshot over to be saved.

        Its arrays and values belong to the writer from now on.

        Raises:
            SlipstreamError: What the save before this one came to; this one was not begun.
        """
        raise NotImplementedError

    def wait(self) -> None:
        """Return when nothing is under way; raise what the last save came to."""
        raise NotImplementedError

    def close(self) -> None:
        """Wait for the last save, raise what it came to, and end the thread."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return this writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; an error that is already on its way is not replaced, but gets a note."""
        raise NotImplementedError
