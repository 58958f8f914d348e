"""Writing the records and reports of fits: soon, safely, and without making short fits wait."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from slipstream.record import RECORD_FILE, Record

# Curves to zoom into take 5 MB and 0.2 s a report: the first fits have them, if they are few.
FEW = 5
# Writing safely takes as long as a short fit: where there are many, they wait for company.
PATIENCE_SECONDS = 5.0
LONG_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One fit that was kept: its folder and record, what Keras' own loop ran, what looks wrong."""

    folder: Path
    record: Record
    in_keras: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@final
class Keeper:
    """Gives each fit a folder, and writes its record and its report into that.

    A process that this one has forked keeps its fits in the same place. It may end without a word
    (those of `multiprocessing` do), so there nothing waits.

    Args:
        folder: Where `fit_1`, `fit_2`, ... go; made when there is a first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._number = 0
        self._process = os.getpid()
        self._is_forked = False
        self._written_at = time.monotonic()
        self._waiting: list[Kept] = []
        self.kept: list[Kept] = []

    def claim(self) -> tuple[int, Path]:
        """Return the number of the next fit, and its folder, made just now."""
        self._notice_fork()
        while True:
            with self._lock:
                self._number += 1
                number = self._number
            folder = self._folder / f"fit_{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                # Another process of this script has that number.
                continue
            return number, folder

    def add(self, kept: Kept) -> None:
        """Keep one fit, and write what has waited for long enough."""
        self._notice_fork()
        with self._lock:
            self.kept.append(kept)
            self._waiting.append(kept)
            is_due = (
                self._is_forked
                or len(self.kept) <= FEW
                or kept.record.timings.clock_seconds > LONG_SECONDS
                or time.monotonic() - self._written_at > PATIENCE_SECONDS
            )
        if is_due:
            self._write_records()
        if self._is_forked:
            _write_report(kept, still=True)

    def finish(self, quietly: Callable[[Callable[[], Any]], Any]) -> None:
        """Write what waits, and the reports.

        Args:
            quietly: Calls a function; whatever goes wrong in one of them ends no other.
        """
        self._notice_fork()
        quietly(self._write_records)
        if self._is_forked:
            return
        for number, kept in enumerate(self.kept):
            quietly(functools.partial(_write_report, kept, still=number >= FEW))

    def elsewhere(self) -> int:
        """Return how many fits other processes of this script have kept."""
        mine = {kept.folder for kept in self.kept}
        records = self._folder.glob(f"fit_*/{RECORD_FILE}")
        return sum(record.parent not in mine for record in records)

    def _write_records(self) -> None:
        from slipstream.script import records

        with self._lock:
            waiting, self._waiting = self._waiting, []
        for kept in waiting:
            records.keep(kept.record, kept.folder)
        self._written_at = time.monotonic()

    def _notice_fork(self) -> None:
        """Leave to the process before what is its own."""
        if os.getpid() != self._process:
            self._process, self._is_forked = os.getpid(), True
            # The lock may have been held at that moment by a thread that does not exist here.
            self._lock = threading.Lock()
            self._waiting, self.kept = [], []


def _write_report(kept: Kept, still: bool) -> None:
    from slipstream.script import records

    written_at = datetime.now(UTC).isoformat(sep=" ", timespec="minutes")
    records.write_report(kept.record, kept.folder, written_at, still=still)
