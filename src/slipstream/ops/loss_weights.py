"""Weights of the losses of several outputs that are learned along with the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops
from keras.src.trainers.compile_utils import CompileLoss


@final
@keras.saving.register_keras_serializable("slipstream")
class LogVariances(keras.layers.Layer):
    """The variables of `UncertaintyWeightedLoss`: one logarithm of a variance for each output.

    Args:
        start: The values to begin with.
    """

    def __init__(self, start: Sequence[float], **kwargs: Any) -> None:
        kwargs.setdefault("name", "log_variances")
        super().__init__(dtype="float32", **kwargs)
        values = np.asarray(start, "float32")
        self.values = self.add_weight(
            shape=values.shape, initializer="zeros", name="log_variances", dtype="float32"
        )
        self.values.assign(values)
        self.built = True


@final
class UncertaintyWeightedLoss(CompileLoss):
    """The losses of several outputs, each divided by a variance that is learned.

    loss = sum_i exp(-s[i]) * loss[i] + s[i] / 2

    Args:
        loss: What `Model.compile` takes, for two outputs or more.
        log_variances: Holds s, in the order of the outputs.
        output_names: The names of the model's outputs.

    Source: Kendall, Gal and Cipolla, 2018, "Multi-task learning using uncertainty to weigh losses
    for scene geometry and semantics" (arXiv:1705.07115).
    """

    def __init__(self, loss: Any, log_variances: LogVariances, output_names: Any) -> None:
        super().__init__(loss, output_names=output_names)
        self._log_variances = log_variances

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the weighted sum; each loss by itself goes to its tracker unweighted."""
        if not self.built:
            # Keras makes the losses of the outputs in its first call, and takes weights from them.
            return super().call(y_true, y_pred, sample_weight)
        plain: Any = self._flat_losses  # type: ignore[has-type]
        variances = ops.convert_to_tensor(self._log_variances.values)
        weights = ops.exp(-variances)
        self._flat_losses = [
            entry._replace(loss_weights=weights[index]) for index, entry in enumerate(plain)
        ]
        try:
            total = super().call(y_true, y_pred, sample_weight)
        finally:
            self._flat_losses = plain
        return total + 0.5 * ops.sum(variances)
