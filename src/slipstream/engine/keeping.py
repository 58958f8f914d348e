"""Keeping a run: checkpoints of it as it goes, and the one that it goes on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from slipstream.checkpoint import BackgroundWriter, CheckpointStore, Found, RunLock
from slipstream.checkpoint.every import Every
from slipstream.engine.identity import refuse_others
from slipstream.engine.snapshot import Running, capture, restore
from slipstream.errors import InputError, SlipstreamError
from slipstream.record import Checkpoints


@dataclass(frozen=True)
class Keeping:
    """How a run is kept in its folder.

    Args:
        every: After how much training a checkpoint is written, besides the one at its end; None
            for no checkpoints.
        resume: Whether it goes on from the checkpoint that is there, if there is one.
    """

    every: Every | None = field(default_factory=Every)
    resume: bool = False


@contextmanager
def kept_in(folder: Path, keeping: Keeping, identity: Mapping[str, Any]) -> Iterator[Keeper]:
    """Within it this process is the run folder's one writer, and has a keeper for it.

    Args:
        folder: The run folder.
        keeping: How the run is kept.
        identity: What the run is a run of.

    Raises:
        InputError: Another process has the folder; it holds a checkpoint that is not to be gone on
            with, or one of another run; or all of them are damaged.
    """
    with RunLock(folder) as lock:
        store = CheckpointStore(folder, lock=lock)
        found = store.latest()
        if found is not None:
            if not keeping.resume:
                raise InputError(
                    f"a folder without a run that was begun, where {folder} is",
                    f"one with a checkpoint at update {found.snapshot.update}",
                    "Add --resume to go on with it, or name another folder with --out.",
                    code="SLP-609",
                )
            refuse_others(found.snapshot.values["identity"], identity, folder)
        writer = BackgroundWriter(store)
        try:
            yield Keeper(writer, keeping.every, found)
        finally:
            # What the last save came to `finish` has told, unless something else went wrong first.
            with suppress(SlipstreamError):
                writer.close()


@final
class Keeper:
    """Saves a run as it goes, in the background, and counts what that costs.

    Args:
        writer: Writes checkpoints.
        every: After how much training; None for never.
        found: What the run goes on from; None where it begins.
    """

    def __init__(self, writer: BackgroundWriter, every: Every | None, found: Found | None) -> None:
        self.found = found
        self._writer = writer
        self._every = every
        self._run: Running | None = None
        self._updates_apart = 0
        self._begun_at = time.perf_counter()
        self._last = -1
        self._copy_seconds = 0.0
        self._wait_seconds = 0.0
        self._count = 0
        self._before = Checkpoints()

    def keep(self, run: Running, updates_per_epoch: int) -> None:
        """Keep a run from now on; where there is a checkpoint, put the run back to it.

        Raises:
            RecordError: The checkpoint is of another run. Nothing was changed.
        """
        self._run = run
        self._updates_apart = self._every.in_updates(updates_per_epoch) if self._every else 0
        self._begun_at = time.perf_counter()
        if self.found is None:
            self._last = 0
            return
        snapshot = self.found.snapshot
        restore(run, snapshot)
        clock = snapshot.values["clock"]
        run.recorder.clock.go_on(clock["seconds"], clock["spent"])
        before = Checkpoints.model_validate(snapshot.values["checkpoints"])
        resumed_at = [*before.resumed_at, snapshot.update]
        self._before = before.model_copy(update={"resumed_at": resumed_at})
        self._last = snapshot.update

    def offer(self, update: int, evaluated: bool, check: Callable[[], None] | None = None) -> None:
        """Save the run if it is time.

        Args:
            update: Updates made so far.
            evaluated: Whether it has just been evaluated.
            check: Called before it is saved; what it raises leaves the run unsaved.

        Raises:
            StorageError: An earlier save failed.
        """
        if self._run is not None and self._every and self._is_due(self._every, update, evaluated):
            if check is not None:
                check()
            self._save(self._run, update)

    def last(self, update: int) -> None:
        """Save the run where it ends, for now or for good."""
        if self._run is not None and self._every and update != self._last:
            self._save(self._run, update)

    def finish(self) -> None:
        """Wait until all is on disk; raises StorageError where that came to nothing."""
        self._writer.wait()

    @property
    def told(self) -> Checkpoints:
        """What the record says of the checkpoints, those of earlier sittings included."""
        before, saved = self._before, self._writer.saved
        return Checkpoints(
            count=before.count + self._count,
            bytes=saved[-1].bytes if saved else before.bytes,
            wait_seconds=before.wait_seconds + self._wait_seconds,
            write_seconds=before.write_seconds + sum(one.seconds for one in saved),
            resumed_at=before.resumed_at,
        )

    def _is_due(self, every: Every, update: int, evaluated: bool) -> bool:
        apart = self._updates_apart
        if apart:
            return update // apart > self._last // apart
        if self._writer.is_busy:
            # A copy of the state would wait in memory, and with it the training.
            return False
        seconds = time.perf_counter() - self._begun_at
        return every.is_due(seconds, evaluated, self._copy_seconds)

    def _save(self, run: Running, update: int) -> None:
        start = time.perf_counter()
        snapshot = capture(run)
        self._count += 1
        told = {**snapshot.values, "checkpoints": self.told.model_dump()}
        best = run.recorder.best
        is_best = best is not None and best.step == update
        self._writer.save(replace(snapshot, values=told), best=is_best)
        self._begun_at, self._last = start, update
        self._copy_seconds = time.perf_counter() - start
        self._wait_seconds += self._copy_seconds
        run.recorder.clock.add("checkpoint", self._copy_seconds)
