"""Examples from files for Keras' own fit: batches as its threads ask for them."""

from __future__ import annotations

import math
from typing import Any, final

import keras
import numpy as np

from slipstream.data.order import epoch_order
from slipstream.data.parallel import num_threads
from slipstream.data.splits import Split
from slipstream.engine.stream import calls_ahead
from slipstream.plan import Plan


@final
class FileBatches(keras.utils.PyDataset):
    """A split's batches, in a new order in every epoch: a pure function of seed and epoch.

    Args:
        split: The split.
        plan: The plan: batch, data and seed count.
        is_training: Whether examples are shuffled.
        epoch: The epoch that Keras' fit begins with.
    """

    def __init__(self, split: Split, plan: Plan, is_training: bool, epoch: int = 0) -> None:
        ahead = calls_ahead(plan, split)
        threads = num_threads(plan.data.threads) if ahead else 0
        super().__init__(workers=max(1, threads), max_queue_size=max(1, ahead + threads))
        self._split, self._plan, self._is_training = split, plan, is_training
        self._epoch = epoch
        self._order = self._drawn()

    def __len__(self) -> int:
        return math.ceil(self._split.num_examples / self._plan.batch.size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return a batch (x, y) or (x, y, weight)."""
        size = self._plan.batch.size
        rows = self._order[index * size : (index + 1) * size]
        x, y, weight = self._split.take(rows).parts()
        return (x, y) if weight is None else (x, y, weight)

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        self._epoch += 1
        self._order = self._drawn()

    def _drawn(self) -> Any:
        if not self._is_training:
            return np.arange(self._split.num_examples)
        return epoch_order(self._split.num_examples, self._plan.seeds.seed, self._epoch)
