"""All of the torture, in one table: `python -m torture`, in the folder of the tests.

Names of parts as arguments do these alone: `python -m torture damage kill`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from torture.damage import damage
from torture.faults import fail_everywhere
from torture.forgery import forge
from torture.killing import kill
from torture.outcome import Outcome, table
from torture.racing import race
from torture.small_disk import close, fill
from torture.training import train

# Each is handed an empty folder.
PARTS: dict[str, Callable[[Path], Outcome]] = {
    "damage": lambda folder: damage(1000, folder),
    "forge": lambda folder: forge(10_000, folder),
    "faults": fail_everywhere,
    "kill": lambda folder: kill(200, folder),
    "race": lambda folder: race(200, folder),
    "fill": lambda folder: fill(50, folder / "disk"),
    "close": lambda folder: close(folder / "disk"),
    "train_torch": lambda folder: train("torch", 100, folder),
    "train_jax": lambda folder: train("jax", 100, folder),
    "train_tensorflow": lambda folder: train("tensorflow", 100, folder),
}


def main(names: list[str]) -> int:
    """Do all of it, or what is named, print the figures, and return 1 if anything failed."""
    console, rows = Console(), []
    for name in names or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            outcome = PARTS[name](Path(folder))
            rows.append((outcome, time.perf_counter() - start))
        for failure in outcome.failures[:10]:
            console.print(failure, style="red", markup=False)
    console.print(table(rows))
    return int(any(outcome.failures for outcome, _ in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
