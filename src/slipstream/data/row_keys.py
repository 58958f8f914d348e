"""A number for each example: equal examples have equal numbers, others hardly ever."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.nests import Array

Keys = NDArray[np.uint64]
WORD_BYTES = 8
PIECE_BYTES = 1 << 21
_HALF = np.uint64(32)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def row_keys(array: Array, dtype: Any = None) -> Keys:
    """Return a key of each row: a sum of its words, each times a random odd number, modulo 2**64.

    Two rows that differ have the same key with a probability of about 2**-40: who must be sure
    compares them. 60,000 rows of 784 float32 take about a tenth of a second.

    Args:
        array: Shape (N, ...), of any dtype without objects.
        dtype: What to convert it to first, so that keys of two arrays can be compared.

    Returns:
        Shape (N,), uint64.

    Example:
        >>> keys = row_keys(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
        >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
        (True, False)
    """
    wanted = array.dtype if dtype is None else np.dtype(dtype)
    keys = np.zeros(len(array), np.uint64)
    step = max(1, PIECE_BYTES // max(1, array[:1].size * wanted.itemsize))
    for start in range(0, len(array), step):
        piece = array[start : start + step].astype(wanted, copy=False)
        keys[start : start + step] = _piece_keys(piece)
    return keys


def joined(first: Keys, second: Keys) -> Keys:
    """Return keys of examples that consist of two parts, in this order."""
    mixed = (first ^ (first >> _HALF)) * _SPREAD + second
    return np.asarray(mixed, np.uint64)


def _piece_keys(rows: Array) -> Keys:
    words = _words(rows)
    # Whole numbers as floats differ in their upper bits alone, which a product would move out: a
    # shift brings them down, after a product, or equal numbers in one word would cancel.
    mixed = words * _SPREAD
    mixed ^= mixed >> _HALF
    return np.asarray(mixed @ _factors(words.shape[1]), np.uint64)


def _words(rows: Array) -> NDArray[np.uint64]:
    flat = np.ascontiguousarray(rows).reshape(len(rows), rows[:1].size)
    octets = flat.view(np.uint8)
    missing = -octets.shape[1] % WORD_BYTES
    if missing or not octets.size:
        whole = np.zeros((len(octets), octets.shape[1] + missing), np.uint8)
        whole[:, : octets.shape[1]] = octets
        octets = whole
    return octets.view(np.uint64)


@cache
def _factors(count: int) -> NDArray[np.uint64]:
    random = np.random.Generator(np.random.Philox(key=20_240_101))
    return random.integers(0, 2**64, count, np.uint64) | np.uint64(1)
