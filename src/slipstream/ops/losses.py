"""Losses that Keras lacks, written on keras.ops."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


@final
@keras.saving.register_keras_serializable("slipstream")
class SmoothedSparseCategoricalCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels, a share of each label spread evenly over all classes.

    loss = -(1 - s) * log p[y] - s / C * sum_c log p[c]

    Args:
        smoothing: The share s, from 0 to 1.
        from_logits: Whether predictions are logits instead of probabilities.

    Call with labels of shape (N, ...) or (N, ..., 1) and predictions of shape (N, ..., C).

    Source: Szegedy et al., 2016, "Rethinking the Inception Architecture" (arXiv:1512.00567).
    """

    def __init__(self, smoothing: float, from_logits: bool, **kwargs: Any) -> None:
        kwargs.setdefault("name", "smoothed_sparse_categorical_crossentropy")
        super().__init__(**kwargs)
        self.smoothing = smoothing
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape (N, ...)."""
        if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        if self.from_logits:
            log_p = ops.log_softmax(y_pred, axis=-1)
        else:
            log_p = ops.log(ops.clip(y_pred, keras.config.epsilon(), 1.0))
        labels = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        chosen = ops.squeeze(ops.take_along_axis(log_p, labels, axis=-1), -1)
        return -(1.0 - self.smoothing) * chosen - self.smoothing * ops.mean(log_p, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        return {
            **super().get_config(),
            "smoothing": self.smoothing,
            "from_logits": self.from_logits,
        }
