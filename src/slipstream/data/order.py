"""In which order examples are seen: a pure function of seed and epoch, on every backend."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Position:
    """Where in the data a training stands.

    Args:
        epoch: The epoch, from 0.
        update: How many of its updates are made.
        seed: What the order of the examples follows from.
    """

    epoch: int = 0
    update: int = 0
    seed: int = 0


def epoch_order(num_examples: int, seed: int, epoch: int) -> Indices:
    """Return the order of the examples in one epoch.

    A permutation drawn by the counter-based generator Philox with the key (seed, epoch): a resumed
    run needs no state to go on with the same order.

    Args:
        num_examples: How many examples there are.
        seed: The plan's seed, 0 or more.
        epoch: The number of the epoch, from 0.

    Returns:
        The indices 0 to num_examples - 1, each once, of shape (num_examples,) and dtype int64.

    Example:
        >>> sorted(epoch_order(4, seed=0, epoch=0).tolist())
        [0, 1, 2, 3]

    Source: J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(num_examples)


def with_stand_ins(order: Indices, rows: Collection[int]) -> Indices:
    """Return an order in which the example that comes next stands in for each of some.

    Args:
        order: An order of examples.
        rows: The examples to be left out; not all there are.

    Example:
        >>> with_stand_ins(np.array([3, 0, 2, 1]), {0, 1}).tolist()
        [3, 2, 2, 3]
    """
    places = np.arange(len(order))
    good = np.flatnonzero(~np.isin(order, list(rows)))
    return order[good[np.searchsorted(good, places) % len(good)]]
