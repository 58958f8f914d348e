"""Micro-batches that threads make ready while the model is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np

from slipstream.data.columns import columns_in
from slipstream.data.parallel import ReadAhead, num_threads
from slipstream.data.splits import Arrays, Split, leaves, map_arrays
from slipstream.plan import Plan

# Calls into the backend that are made ready ahead, where a plan leaves it open.
AHEAD_OF_FILES = 2
# Of examples in files, so many bytes are evaluated at a time.
EVALUATED_BYTES = 2 * 2**20
EVALUATED_AHEAD = 3


def calls_ahead(plan: Plan, split: Split) -> int:
    """Return how many calls into the backend are made ready ahead; 0 makes none."""
    if plan.data.cache == "device":
        return 0
    if plan.data.prefetch != "auto":
        return plan.data.prefetch
    return AHEAD_OF_FILES if columns_in(split.parts()) else 0


@final
class Stream:
    """Hands out micro-batches in the order of training, across the ends of epochs.

    Args:
        load: Loads one, given the epoch and its place in it; called by several threads.
        per_epoch: Micro-batches in an epoch.
        plan: The plan; its section data says how many threads.
        ahead: How many are made ready ahead.
    """

    def __init__(
        self, load: Callable[[int, int], Arrays], per_epoch: int, plan: Plan, ahead: int
    ) -> None:
        self._load = load
        self._per_epoch = per_epoch
        self._threads = num_threads(plan.data.threads)
        self._ahead = max(ahead, self._threads)
        self._reader: ReadAhead[Arrays] | None = None
        self._next = 0

    def take(self, epoch: int, first: int, count: int) -> Iterator[Arrays]:
        """Yield micro-batches of an epoch; it goes on reading where the last call ended."""
        start = epoch * self._per_epoch + first
        if self._reader is None or self._next != start:
            self.close()
            self._next = start
            self._reader = ReadAhead(self._at, start, self._threads, self._ahead)
        for _ in range(count):
            self._next += 1
            yield next(self._reader)

    def close(self) -> None:
        """Let go of the threads."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _at(self, index: int) -> Arrays:
        return self._load(*divmod(index, self._per_epoch))


def joined(parts: Sequence[Arrays], num_examples: int) -> Arrays:
    """Return nests of arrays as one, along the examples; zeros fill it up to a number of them.

    Example:
        >>> joined([(np.ones(2), None), (np.ones(1), None)], 4)[0].tolist()
        [1.0, 1.0, 1.0, 0.0]
    """
    columns = [list(leaves(part)) for part in parts]
    if len(parts) == 1 and len(columns[0][0]) == num_examples:
        return parts[0]
    filled = iter([_filled(pieces, num_examples) for pieces in zip(*columns, strict=True)])
    return map_arrays(lambda _: next(filled), parts[0])


def _filled(pieces: Sequence[Any], num_examples: int) -> Any:
    first = pieces[0]
    out = np.empty((num_examples, *first.shape[1:]), first.dtype)
    at = 0
    for piece in pieces:
        out[at : at + len(piece)] = piece
        at += len(piece)
    out[at:] = 0
    return out


@final
class StreamedBatches(Sequence[Arrays]):
    """The batches of a split whose examples lie in files; read anew whenever it is gone through.

    Args:
        split: The split.
        size: Examples a batch; the last one may have fewer.
        threads: How many threads read; 0 is one for each processor.
    """

    def __init__(self, split: Split, size: int, threads: int = 0) -> None:
        self._split, self._size, self._threads = split, size, num_threads(threads)

    def __len__(self) -> int:
        return math.ceil(self._split.num_examples / self._size)

    def __getitem__(self, index: Any) -> Any:
        start = range(len(self))[index] * self._size
        rows = np.arange(start, min(start + self._size, self._split.num_examples))
        return self._split.take(rows).parts()

    def __iter__(self) -> Iterator[Arrays]:
        last = len(self) - 1
        reader = ReadAhead(
            lambda index: self[min(index, last)] if index <= last else None,
            0,
            self._threads,
            min(EVALUATED_AHEAD, len(self)),
        )
        try:
            for _ in range(len(self)):
                yield next(reader)
        finally:
            reader.close()


def in_memory(split: Split, threads: int = 0) -> Split:
    """Return a split with all its examples decoded, by several threads."""
    columns = columns_in(split.parts())
    if not columns:
        return split
    size = max(1, EVALUATED_BYTES // max(column.row_bytes for column in columns))
    whole: Any = None
    start = 0
    for batch in StreamedBatches(split, size, threads):
        if whole is None:
            whole = map_arrays(
                lambda a: np.empty((split.num_examples, *a.shape[1:]), a.dtype), batch
            )
        num = len(next(leaves(batch)))
        for out, part in zip(leaves(whole), leaves(batch), strict=True):
            out[start : start + num] = part
        start += num
    x, y, weights = whole
    return Split(x, y, weights, split.rows)
