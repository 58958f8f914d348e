"""How long the checks of data take: python bench/data_checks.py [REPEATS].

Sets of Fashion-MNIST's size (60,000 training and 10,000 validation rows of 784 values), as floats
and as bytes, and Fashion-MNIST itself where it is installed. The slowest checks are named.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from slipstream.data import Data, Split
from slipstream.doctor import Case, all_checks, examine
from slipstream.errors import DataError
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts
from slipstream.tasks import fashion_mnist

NUM_TRAIN, NUM_HELD_OUT, WIDTH, CLASSES = 60_000, 10_000, 784, 10


def sets() -> dict[str, Data]:
    random = np.random.default_rng(0)
    num = NUM_TRAIN + NUM_HELD_OUT
    x, y = random.random((num, WIDTH), dtype="float32"), random.integers(0, CLASSES, num)
    found = {}
    for name, values in (("float32", x), ("uint8", (x * 255).astype("uint8"))):
        parts = [Split(part(values), part(y)) for part in (_first, _rest)]
        found[name] = Data(*parts)
    try:
        data = fashion_mnist.load_data()
    except DataError:
        return found
    splits = (data.train, data.validation, data.test)
    flat = [Split(s.x.reshape(-1, WIDTH), s.y, rows=s.rows) for s in splits if s is not None]
    return {**found, "Fashion-MNIST": Data(*flat)}


def _first(array: np.ndarray) -> np.ndarray:
    return array[:NUM_TRAIN]


def _rest(array: np.ndarray) -> np.ndarray:
    return array[NUM_TRAIN:]


def main(repeats: int) -> None:
    loss = "SparseCategoricalCrossentropy"
    output = OutputFacts("y", (CLASSES,), "softmax", loss, False)
    model = ModelFacts((InputFacts("x", (WIDTH,), "float32"),), (output,), ("loss",))
    for name, data in sets().items():
        case = Case(data, model, Plan())
        examine(case)
        seconds = [_seconds(examine, case) for _ in range(repeats)]
        parts = {
            check.__module__.rpartition(".")[2]: _seconds(check, case) for check in all_checks()
        }
        slowest = sorted(parts, key=parts.__getitem__)[:-4:-1]
        told = ", ".join(f"{part} {parts[part]:.3f}" for part in slowest)
        print(
            f"{name}: {statistics.median(seconds):.3f} s (from {min(seconds):.3f} to "
            f"{max(seconds):.3f}, n = {repeats}); slowest: {told}"
        )


def _seconds(work: Callable[[Case], Iterable[object]], case: Case) -> float:
    start = time.perf_counter()
    list(work(case))
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
