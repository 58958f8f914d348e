"""What a checkpoint costs: `python bench/checkpoints.py`, on the disk of the temporary folder."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from slipstream.checkpoint import BackgroundWriter, CheckpointStore, RunLock, Snapshot

TIMES, NUM_ARRAYS = 7, 50


def measure(num_bytes: int, folder: Path) -> str:
    """Return a row of the table: medians of saving, reading, copying and handing over."""
    draw = np.random.default_rng(0)
    arrays = {
        f"weights/{place}": draw.standard_normal(num_bytes // 4 // NUM_ARRAYS, np.float32)
        for place in range(NUM_ARRAYS)
    }
    with RunLock(folder) as lock:
        store = CheckpointStore(folder, lock=lock)
        saved = _seconds(lambda: store.save(Snapshot(arrays)))
        read = _seconds(store.latest)
        copied = _seconds(lambda: {name: array.copy() for name, array in arrays.items()})
        with BackgroundWriter(store) as writer:
            handed = []
            for _ in range(TIMES):
                handed += _seconds(lambda: writer.save(Snapshot(arrays)), times=1)
                writer.wait()
    cells = [f"{statistics.median(times) * 1e3:.3g}" for times in (saved, read, copied, handed)]
    return f"| {num_bytes / 1e6:.0f} MB | {' | '.join(cells)} | {max(saved) * 1e3:.0f} |"


def _seconds(act: Callable[[], object], times: int = TIMES) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    """Print the table."""
    print(
        "| state | save, ms | read and verify, ms | copy, ms | hand over, ms | slowest save, ms |"
    )
    print("|---|---|---|---|---|---|")
    for num_bytes in (10_000_000, 100_000_000):
        with tempfile.TemporaryDirectory() as folder:
            print(measure(num_bytes, Path(folder)))


if __name__ == "__main__":
    main()
