"""Losses that Keras lacks, written on keras.ops."""

from __future__ import annotations

from collections.abc import Callable
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


@final
@keras.saving.register_keras_serializable("slipstream")
class SparseFocalCrossentropy(keras.losses.Loss):
    """Focal cross-entropy of integer labels: examples that are right already weigh less.

    loss = -sum_c t[c] * (1 - p[c])**gamma * log p[c], t = (1 - s) * one_hot(y) + s / C

    Args:
        gamma: The exponent; 0 is the plain cross-entropy.
        from_logits: Whether predictions are logits instead of probabilities.
        smoothing: The share s of each label that is spread evenly over all classes.

    Call with labels of shape (N, ...) or (N, ..., 1) and predictions of shape (N, ..., C).

    Source: Lin et al., 2017, "Focal loss for dense object detection" (arXiv:1708.02002).
    """

    def __init__(
        self, gamma: float = 2.0, from_logits: bool = False, smoothing: float = 0.0, **kwargs: Any
    ) -> None:
        kwargs.setdefault("name", "sparse_focal_crossentropy")
        super().__init__(**kwargs)
        self.gamma = gamma
        self.from_logits = from_logits
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape (N, ...)."""
        if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        if self.from_logits:
            log_p = ops.log_softmax(y_pred, axis=-1)
        else:
            log_p = ops.log(ops.clip(y_pred, keras.config.epsilon(), 1.0))
        num_classes = y_pred.shape[-1]
        labels = ops.one_hot(ops.cast(y_true, "int32"), num_classes, dtype=log_p.dtype)
        labels = labels * (1.0 - self.smoothing) + self.smoothing / num_classes
        # Where p is 1, the slope of a power below 1 has no bound.
        wrong = ops.maximum(1.0 - ops.exp(log_p), keras.config.epsilon())
        return -ops.sum(labels * ops.power(wrong, self.gamma) * log_p, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "from_logits": self.from_logits,
            "smoothing": self.smoothing,
        }


@final
@keras.saving.register_keras_serializable("slipstream")
class AsymmetricMeanSquaredError(keras.losses.Loss):
    """Mean squared error that weighs predictions below the target more, or less, than above it.

    loss = mean over the last axis of (y - p)**2 * (asymmetry where p < y, else 1)

    Args:
        asymmetry: How many times a prediction too low weighs as much as one too high.

    Call with targets and predictions of one shape, or (N, ...) and (N, ..., 1).

    Source: Newey and Powell, 1987, "Asymmetric least squares estimation and testing",
    doi:10.2307/1911031; there the weights are tau and 1 - tau.
    """

    def __init__(self, asymmetry: float = 2.0, **kwargs: Any) -> None:
        kwargs.setdefault("name", "asymmetric_mean_squared_error")
        super().__init__(**kwargs)
        self.asymmetry = asymmetry

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example: the last axis is gone, unless it is the examples'."""
        if len(y_true.shape) == len(y_pred.shape) - 1:
            y_true = ops.expand_dims(y_true, -1)
        elif len(y_true.shape) == len(y_pred.shape) + 1:
            y_true = ops.squeeze(y_true, -1)
        error = ops.cast(y_true, y_pred.dtype) - y_pred
        squares = ops.square(error) * ops.where(error > 0, self.asymmetry, 1.0)
        return ops.mean(squares, axis=-1) if len(y_pred.shape) > 1 else squares

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        return {**super().get_config(), "asymmetry": self.asymmetry}


# What a task may name these losses.
LOSSES: dict[str, Callable[[], Any]] = {
    "sparse_focal_crossentropy": SparseFocalCrossentropy,
    "asymmetric_mean_squared_error": AsymmetricMeanSquaredError,
}
