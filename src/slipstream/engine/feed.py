"""Which examples make which update, and in which portions they go to the backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.augmentation import Draws
from slipstream.data.columns import columns_in
from slipstream.data.order import epoch_order, with_stand_ins
from slipstream.data.splits import Arrays, Split, map_arrays
from slipstream.engine.augmentation import Augmenter, Places
from slipstream.engine.class_weights import class_weighted
from slipstream.engine.memory import smaller_part
from slipstream.engine.stream import (
    EVALUATED_BYTES,
    Stream,
    StreamedBatches,
    calls_ahead,
    joined,
)
from slipstream.plan import Plan


@dataclass(frozen=True)
class Block:
    """Updates that go to the backend in one call.

    The arrays are of shape (updates, micro-batches, examples, ...).

    Only the first `count` updates are meant; the rest is padding.
    """

    arrays: Arrays
    count: int
    num_examples: int

    def split(self, count: int) -> tuple[Block, Block]:
        """Return its first updates, as many as told, and the rest; both have the same padding."""
        num_examples = self.num_examples * count // self.count
        later = map_arrays(lambda array: np.roll(array, -count, axis=0), self.arrays)
        return (
            Block(self.arrays, count, num_examples),
            Block(later, self.count - count, self.num_examples - num_examples),
        )


@dataclass(frozen=True)
class Ragged:
    """One update from what is left over at the end of an epoch, in batches of unequal sizes."""

    batches: Sequence[Arrays]
    num_examples: int
    count: int = 1


class Feed:
    """The training split, cut into updates as the plan says.

    Args:
        train: The training split.
        plan: The plan: batch, data, augmentation, seed and steps per execution count.
        at_a_time: Examples of a micro-batch, which must divide those of an update; as the plan
            says if None.
    """

    def __init__(self, train: Split, plan: Plan, at_a_time: int | None = None) -> None:
        self._train = train = class_weighted(train, plan)
        self._plan = plan
        self.at_a_time = at_a_time or plan.batch.size
        self._effective = plan.batch.size * plan.batch.accumulation
        self._full, self._left_over = divmod(train.num_examples, self._effective)
        if plan.batch.remainder == "drop" and self._full > 0:
            self._left_over = 0
        self.augmenter = Augmenter(plan, train)
        self._steps = min(plan.runtime.steps_per_execution, max(1, min(self._segments())))
        self._without: dict[int, int] = {}
        self._order = lru_cache(maxsize=3)(self._ordered)
        # Several threads ask for the same epoch, and for the next one at its end.
        self._drawn = lru_cache(maxsize=3)(self._draw)
        ahead = calls_ahead(plan, train) * self._steps * self.num_micro_batches
        per_epoch = self._full * self.num_micro_batches - (-self._left_over // self.at_a_time)
        self._stream = Stream(self._micro_batch, per_epoch, plan, ahead) if ahead else None

    @property
    def train(self) -> Split:
        """The training split, with what the plan adds to the weights of its examples."""
        return self._train

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer updates in one epoch."""
        return self._full + (1 if self._left_over else 0)

    @property
    def updates_per_call(self) -> int:
        """Updates that go to the backend in one call."""
        return self._steps

    @property
    def is_read_ahead(self) -> bool:
        """Whether threads make examples ready ahead."""
        return self._stream is not None

    @property
    def num_micro_batches(self) -> int:
        """Micro-batches in an update, those left over at the end of an epoch aside."""
        return self._effective // self.at_a_time

    @property
    def is_in_parts(self) -> bool:
        """Whether an update may be made of several micro-batches."""
        return self._effective > self.at_a_time

    def smaller_part(self) -> int | None:
        """Return how many examples to take at a time where these are too many; None for none."""
        return smaller_part(self._effective, self.at_a_time)

    @property
    def is_placed(self) -> bool:
        """Whether blocks are indices into a training set that rests on the device."""
        return self._plan.data.cache == "device"

    def examples_of(self, update: int) -> NDArray[np.int64]:
        """Return the rows of the training split that make an update, which is counted from 0."""
        epoch, place = divmod(update, self.updates_per_epoch)
        order = self._order(epoch)
        return order[place * self._effective : (place + 1) * self._effective]

    def leave_out(self, rows: Mapping[int, int]) -> None:
        """Let others stand in for some rows, each from an epoch on that is not begun yet."""
        if rows == self._without:
            return
        self._without = dict(rows)
        self._order.cache_clear()
        self._drawn.cache_clear()
        # What is read ahead may hold them.
        self.close()

    @property
    def rows_before_split(self) -> NDArray[np.int64] | None:
        """Which row of the user's own arrays each example is, where the split was made here."""
        rows = self._train.rows
        return rows if rows is not None and len(rows) == self._train.num_examples else None

    def evaluation_points(self) -> list[int]:
        """Return the update of the epoch after which each validation takes place."""
        updates = self.updates_per_epoch
        wanted = min(self._plan.duration.evaluations_per_epoch, updates)
        return [round(updates * (part + 1) / wanted) for part in range(wanted)]

    def epoch(self, epoch: int, done: int = 0) -> Iterator[Block | Ragged]:
        """Yield the blocks of an epoch, in order; none reaches across a validation.

        Args:
            epoch: The epoch, from 0.
            done: How many of its updates are made already, less than there are.
        """
        if self._stream is not None:
            yield from self._streamed(self._stream, epoch, done)
            return
        order, draws = self._draw(epoch)
        for first, count in self._cuts(done):
            yield self._block(order, draws, first, count)
        if self._left_over:
            yield self._ragged(order, draws)

    def close(self) -> None:
        """Let go of the threads that read ahead, if there are any."""
        if self._stream is not None:
            self._stream.close()

    def _cuts(self, done: int) -> Iterator[tuple[int, int]]:
        """Yield the first update and the number of updates of each block."""
        start = done
        for point in self.evaluation_points():
            end = min(point, self._full)
            for first in range(start, end, self._steps):
                yield first, min(self._steps, end - first)
            start = max(start, point)

    def _streamed(self, stream: Stream, epoch: int, done: int) -> Iterator[Block | Ragged]:
        """Yield the blocks of an epoch, put together from micro-batches that are read ahead."""
        of_update = self.num_micro_batches
        shape = (self._steps, of_update, self.at_a_time)
        for first, count in self._cuts(done):
            parts = list(stream.take(epoch, first * of_update, count * of_update))
            whole = joined(parts, self._steps * self._effective)
            yield Block(_reshaped(whole, shape), count, count * self._effective)
        if self._left_over:
            num = -(-self._left_over // self.at_a_time)
            batches = list(stream.take(epoch, self._full * of_update, num))
            yield Ragged(batches, self._left_over)

    def _micro_batch(self, epoch: int, place: int) -> Arrays:
        """Load a micro-batch of an epoch, given its place in it."""
        order, draws = self._drawn(epoch)
        num = self._full * self._effective + self._left_over
        start = place * self.at_a_time
        positions = np.arange(start, min(start + self.at_a_time, num))
        return self._examples(order, draws, positions)

    def _draw(self, epoch: int) -> tuple[NDArray[np.int64], dict[str, Draws]]:
        """Return the order of an epoch, and what its augmentation draws."""
        return self._order(epoch), self.augmenter.draw(self._train.num_examples, epoch)

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        order = epoch_order(self._train.num_examples, self._plan.seeds.seed, epoch)
        rows = [row for row, first in self._without.items() if first <= epoch]
        return with_stand_ins(order, rows) if rows else order

    def _segments(self) -> list[int]:
        points = [0, *self.evaluation_points()]
        full = [min(point, self._full) for point in points]
        lengths = [end - start for start, end in pairwise(full)]
        return [length for length in lengths if length > 0] or [1]

    def _block(
        self, order: NDArray[np.int64], draws: dict[str, Draws], first: int, count: int
    ) -> Block:
        positions = np.arange(first * self._effective, (first + count) * self._effective)
        if count < self._steps:
            padding = np.zeros((self._steps - count) * self._effective, positions.dtype)
            positions = np.concatenate([positions, padding])
        shape = (self._steps, self.num_micro_batches, self.at_a_time)
        arrays = _reshaped(self._examples(order, draws, positions), shape)
        return Block(arrays, count, count * self._effective)

    def _ragged(self, order: NDArray[np.int64], draws: dict[str, Draws]) -> Ragged:
        size = self.at_a_time
        positions = np.arange(self._full * self._effective, len(order))
        batches = [
            self._examples(order, draws, positions[start : start + size])
            for start in range(0, len(positions), size)
        ]
        return Ragged(batches, len(positions))

    def _examples(
        self, order: NDArray[np.int64], draws: dict[str, Draws], positions: NDArray[Any]
    ) -> Arrays:
        """Return what a block holds of examples: themselves, or where they are on the device."""
        places = Places(positions, self._others(positions), order)
        # What is left over comes in batches of any sizes: the host does all there is to do.
        is_full = bool(positions[0] < self._full * self._effective)
        if self.is_placed and is_full:
            batch: Arrays = places.rows.astype(np.int32)
        elif draws:
            batch = self.augmenter.on_host(self._train, places, draws, all_of_it=not is_full)
        else:
            batch = self._train.take(places.rows).parts()
        if not self.augmenter.is_in_step:
            return batch
        return {"batch": batch} | self.augmenter.for_step(
            self._train, places, draws, images=is_full
        )

    def _others(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places with which examples are mixed: the next one of the same update."""
        end = self._full * self._effective
        first = positions // self._effective * self._effective
        sizes = np.where(first < end, self._effective, max(1, self._left_over))
        others: NDArray[np.int64] = first + (positions - first + 1) % sizes
        return others


def evaluation_batch_size(batch_size: int) -> int:
    """Return how many examples are evaluated at a time, at most: no gradients, so more."""
    return max(1024, 4 * batch_size) if batch_size <= 1024 else batch_size


def evaluation_batches(split: Split, at_most: int) -> Sequence[Arrays]:
    """Cut a split into batches for evaluation: of one size where a good one divides the split.

    One size means one compilation. Of examples in files, fewer are taken at a time.
    """
    num = split.num_examples
    columns = columns_in(split.parts())
    if columns:
        largest = max(column.row_bytes for column in columns)
        at_most = max(1, min(at_most, EVALUATED_BYTES // max(1, largest)))
    divisors = [size for size in range(max(1, at_most // 4), at_most + 1) if num % size == 0]
    size = num if num <= at_most else max(divisors, default=at_most)
    if columns:
        return StreamedBatches(split, max(1, size))
    return [
        map_arrays(lambda a, s=start: a[s : s + size], split.parts())  # type: ignore[misc]
        for start in range(0, num, size)
    ]


def _reshaped(arrays: Arrays, shape: tuple[int, ...]) -> Arrays:
    return map_arrays(lambda array: array.reshape(*shape, *array.shape[1:]), arrays)
