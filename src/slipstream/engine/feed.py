"""Which examples make which update, and in which portions they go to the backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.augment import Augmentation
from slipstream.data.order import epoch_order
from slipstream.data.splits import Arrays, Split, map_arrays
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
    """

    def __init__(self, train: Split, plan: Plan) -> None:
        self._train = train
        self._plan = plan
        self._effective = plan.batch.size * plan.batch.accumulation
        self._full, self._left_over = divmod(train.num_examples, self._effective)
        if plan.batch.remainder == "drop" and self._full > 0:
            self._left_over = 0
        self._augmentation = Augmentation(plan.augmentation.shift, plan.augmentation.flip)
        self._steps = min(plan.runtime.steps_per_execution, max(1, min(self._segments())))

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer updates in one epoch."""
        return self._full + (1 if self._left_over else 0)

    @property
    def is_placed(self) -> bool:
        """Whether blocks are indices into a training set that rests on the device."""
        return self._plan.data.cache == "device"

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
        seed = self._plan.seeds.seed
        order = epoch_order(self._train.num_examples, seed, epoch)
        draws = None
        if self._augmentation.is_on:
            draws = self._augmentation.draw(self._train.num_examples, seed, epoch)
        start = done
        for point in self.evaluation_points():
            end = min(point, self._full)
            for first in range(start, end, self._steps):
                yield self._block(order, draws, first, min(self._steps, end - first))
            start = max(start, point)
        if self._left_over:
            yield self._ragged(order, draws)

    def _segments(self) -> list[int]:
        points = [0, *self.evaluation_points()]
        full = [min(point, self._full) for point in points]
        lengths = [end - start for start, end in pairwise(full)]
        return [length for length in lengths if length > 0] or [1]

    def _block(
        self, order: NDArray[np.int64], draws: NDArray[np.int64] | None, first: int, count: int
    ) -> Block:
        positions = np.arange(first * self._effective, (first + count) * self._effective)
        if count < self._steps:
            padding = np.zeros((self._steps - count) * self._effective, positions.dtype)
            positions = np.concatenate([positions, padding])
        shape = (self._steps, self._plan.batch.accumulation, self._plan.batch.size)
        if self.is_placed:
            arrays: Arrays = order[positions].astype(np.int32).reshape(shape)
        else:
            arrays = _reshaped(self._examples(order, draws, positions), shape)
        return Block(arrays, count, count * self._effective)

    def _ragged(self, order: NDArray[np.int64], draws: NDArray[np.int64] | None) -> Ragged:
        size = self._plan.batch.size
        positions = np.arange(self._full * self._effective, len(order))
        batches = [
            self._examples(order, draws, positions[start : start + size])
            for start in range(0, len(positions), size)
        ]
        return Ragged(batches, len(positions))

    def _examples(
        self, order: NDArray[np.int64], draws: NDArray[np.int64] | None, positions: NDArray[Any]
    ) -> Arrays:
        x, y, weights = self._train.take(order[positions]).parts()
        if draws is not None:
            x = self._augmentation.apply(x, draws[positions])
        return x, y, weights


def evaluation_batches(split: Split, at_most: int) -> list[Arrays]:
    """Cut a split into batches for evaluation: of one size where a good one divides the split.

    One size means one compilation.
    """
    num = split.num_examples
    divisors = [size for size in range(max(1, at_most // 4), at_most + 1) if num % size == 0]
    size = num if num <= at_most else max(divisors, default=at_most)
    return [
        map_arrays(lambda a, s=start: a[s : s + size], split.parts())  # type: ignore[misc]
        for start in range(0, num, size)
    ]


def _reshaped(arrays: Arrays, shape: tuple[int, ...]) -> Arrays:
    return map_arrays(lambda array: array.reshape(*shape, *array.shape[1:]), arrays)
