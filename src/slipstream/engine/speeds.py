"""What this machine does at best: arithmetic and memory traffic of a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

# Milliseconds of work. No more memory than what was under way while it trained, for budgets hold
# to the end of a run.
SIDE = 1024
NUM_COPIED = 4 * 2**20
REPEATS = 3


class Speeds(NamedTuple):
    """Multiply-adds and bytes in a second."""

    multiply_adds: float
    num_bytes: float


@cache
def machine_speeds() -> Speeds:
    """Measure, once in a process, a product of float32 matrices and a pass over memory.

    Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model",
        2009, doi:10.1145/1498765.1498785.
    """
    matrix = ops.convert_to_tensor(np.ones((SIDE, SIDE), np.float32))
    long = ops.convert_to_tensor(np.ones(NUM_COPIED, np.float32))
    product = _seconds(lambda: ops.matmul(matrix, matrix))
    # Read once and written once.
    passed = _seconds(lambda: ops.add(long, 1.0))
    return Speeds(SIDE**3 / product, 2 * 4 * NUM_COPIED / passed)


def _seconds(compute: Callable[[], Any]) -> float:
    """Return the shortest of several times; the first one compiles."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        result = compute()
        # A single number back: it waits for the device, and copies next to nothing.
        keras.ops.convert_to_numpy(result[..., -1])
        times.append(time.perf_counter() - start)
    return min(times)
