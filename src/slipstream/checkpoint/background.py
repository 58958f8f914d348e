"""Writing checkpoints while the training goes on."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from slipstream.checkpoint.snapshot import Saved, Snapshot
from slipstream.checkpoint.store import CheckpointStore


class BackgroundWriter:
    """Saves to a store in one thread of its own.

    A save while another is under way waits for that one: whatever was handed over is written, and
    no more than two snapshots are in memory. Ask `is_busy` before making a copy that may as well be
    made later. An error of the thread is raised by the next call, once; `close` is the last one.
    The interpreter does not end before the thread is done.

    Args:
        store: Where to; nobody else saves to it meanwhile.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self.store = store
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[Saved] | None = None
        self._saved: list[Saved] = []
        self._waited_seconds = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a save is under way, so that the next one would wait."""
        return self._pending is not None and not self._pending.done()

    @property
    def saved(self) -> tuple[Saved, ...]:
        """What was committed and asked for since, in order; after `wait`, all of it."""
        return tuple(self._saved)

    @property
    def waited_seconds(self) -> float:
        """How long calls have waited for the thread, the last one included."""
        return self._waited_seconds

    def save(self, snapshot: Snapshot, *, best: bool = False) -> None:
        """Hand a snapshot over to be saved.

        Its arrays and values belong to the writer from now on.

        Raises:
            SlipstreamError: What the save before this one came to; this one was not begun.
        """
        self.wait()
        self._pending = self._pool.submit(self.store.save, snapshot, best=best)

    def wait(self) -> None:
        """Return when nothing is under way; raise what the last save came to."""
        pending, start = self._pending, time.perf_counter()
        if pending is None:
            return
        try:
            # An interruption leaves it pending: it is waited for again.
            wait([pending])
        finally:
            self._waited_seconds += time.perf_counter() - start
        self._pending = None
        self._saved.append(pending.result())

    def close(self) -> None:
        """Wait for the last save, raise what it came to, and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()

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
        if error is None:
            self.close()
            return
        try:
            self.close()
        except Exception as late:
            error.add_note(f"The last checkpoint was not saved: {late}")
