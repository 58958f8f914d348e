"""All of the torture, in one table: `python -m torture`, in the folder of the tests."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from torture.damage import damage
from torture.faults import fail_everywhere
from torture.killing import kill
from torture.outcome import Outcome, table
from torture.racing import race
from torture.small_disk import close, fill

# What is done to the store; each is handed an empty folder.
STORE: tuple[Callable[[Path], Outcome], ...] = (
    lambda folder: damage(1000, folder),
    fail_everywhere,
    lambda folder: kill(200, folder),
    lambda folder: race(200, folder),
    lambda folder: fill(50, folder / "disk"),
    lambda folder: close(folder / "disk"),
)
PARTS = (*STORE,)


def main() -> int:
    """Do all of it, print the figures, and return 1 if anything failed."""
    console, rows = Console(), []
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            outcome = part(Path(folder))
            rows.append((outcome, time.perf_counter() - start))
        for failure in outcome.failures[:10]:
            console.print(failure, style="red", markup=False)
    console.print(table(rows))
    return int(any(outcome.failures for outcome, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
