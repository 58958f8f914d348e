"""Examples from files for Keras' own fit: batches as it asks for them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import final

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.data.order import epoch_order
from slipstream.data.splits import Arrays, Split
from slipstream.engine.stream import Stream, calls_ahead
from slipstream.plan import Plan


@final
class FileBatches(keras.utils.PyDataset):
    """A split's batches, in a new order in every epoch: a pure function of seed and epoch.

    Threads of ours read ahead. Keras' own keep what they had ready when an epoch ends for the next
    one, and how much that is depends on time: some examples would come twice, others not at all.

    Args:
        split: The split.
        plan: The plan: batch, data and seed count.
        is_training: Whether examples are shuffled.
    """

    def __init__(self, split: Split, plan: Plan, is_training: bool) -> None:
        super().__init__()
        self._split, self._plan, self._is_training = split, plan, is_training
        self._order = lru_cache(maxsize=2)(self._drawn)
        ahead = calls_ahead(plan, split)
        self._stream = Stream(self._load, len(self), plan, ahead) if ahead else None
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Hand out the batches of this epoch from now on."""
        self._epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self._split.num_examples / self._plan.batch.size)

    def __getitem__(self, index: int) -> Arrays:
        """Return a batch (x, y) or (x, y, weight)."""
        if self._stream is None:
            return self._load(self._epoch, index)
        return next(self._stream.take(self._epoch, index, 1))

    def close(self) -> None:
        """Let go of the threads."""
        if self._stream is not None:
            self._stream.close()

    def _load(self, epoch: int, index: int) -> Arrays:
        size = self._plan.batch.size
        rows = self._order(epoch)[index * size : (index + 1) * size]
        x, y, weight = self._split.take(rows).parts()
        return (x, y) if weight is None else (x, y, weight)

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        if not self._is_training:
            return np.arange(self._split.num_examples)
        return epoch_order(self._split.num_examples, self._plan.seeds.seed, epoch)
