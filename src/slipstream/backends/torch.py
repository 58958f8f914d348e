"""Stepping a Keras model on PyTorch: no compilation, as little Python between kernels as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
import torch
from numpy.typing import NDArray

from slipstream.backends._protocol import scalars
from slipstream.data.splits import Arrays, Split, leaves, map_arrays


def open_program(model: Any, *, jit: bool) -> TorchProgram:
    """Return the program of a compiled, built model; kernels run as they are."""
    del jit
    return TorchProgram(model)


@final
class TorchProgram:
    """See `slipstream.backends.Program`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._placed: Arrays = None
        # A user's own step, or own metrics, are run as the user wrote them.
        self._is_plain = (
            type(model).train_step is keras.Model.train_step
            and type(model).compute_metrics is keras.Model.compute_metrics
        )

    def place(self, split: Split) -> None:
        self._placed = map_arrays(keras.ops.convert_to_tensor, split.parts())

    def train(self, block: Arrays, rates: NDArray[np.float32], count: int) -> None:
        num_micro_batches = next(leaves(block)).shape[1]
        block = map_arrays(_to_tensor, block)
        for index in range(count):
            batches = [
                self._gather(map_arrays(lambda array, i=index, m=micro: array[i, m], block))  # type: ignore[misc]
                for micro in range(num_micro_batches)
            ]
            self._update(batches, float(rates[index]))

    def train_ragged(self, batches: Sequence[Arrays], rate: float) -> None:
        self._update([map_arrays(_to_tensor, batch) for batch in batches], rate)

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        self._model.reset_metrics()
        with torch.no_grad():
            for batch in batches:
                self._model.test_step(map_arrays(_to_tensor, batch))
        return self.read_metrics()

    def read_metrics(self) -> dict[str, float]:
        values = scalars(self._model.get_metrics_result())
        self._model.reset_metrics()
        return values

    def synchronize(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def resume(self) -> None:
        """Keras' variables are the state itself: nothing is to be taken back."""

    def _update(self, batches: list[Arrays], rate: float) -> None:
        model = self._model
        model.optimizer.learning_rate = rate
        if len(batches) == 1 and not self._is_plain:
            model.train_step(batches[0])
            return
        model.zero_grad()
        total = sum(len(next(leaves(batch))) for batch in batches)
        for batch in batches:
            size = len(next(leaves(batch)))
            loss = self._loss(batch, size)
            # Backward adds up: the sum over micro-batches is the gradient of the whole.
            (loss if size == total else loss * (size / total)).backward()
        variables = model.trainable_weights
        with torch.no_grad():
            model.optimizer.apply([variable.value.grad for variable in variables], variables)

    def _loss(self, batch: Arrays, size: int) -> Any:
        model = self._model
        x, y, weights = batch
        predictions = model(x, training=True)
        loss = model._compute_loss(x, y, predictions, weights, training=True)
        with torch.no_grad():
            model._loss_tracker.update_state(loss.detach(), sample_weight=size)
            metrics = model._compile_metrics
            if not self._is_plain:
                model.compute_metrics(x, y, predictions, sample_weight=weights)
            elif metrics is not None:
                # Only the update: the values are computed when somebody looks.
                metrics.update_state(y, predictions, sample_weight=weights)
        return model.optimizer.scale_loss(loss)

    def _gather(self, chosen: Arrays) -> Arrays:
        if self._placed is None:
            return chosen
        return map_arrays(lambda array: array[chosen], self._placed)


def _to_tensor(array: Any) -> Any:
    return keras.ops.convert_to_tensor(array)
