"""What the usual metrics average, example by example: Keras' metric functions, natively."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import keras
import torch

from slipstream.lowering._loss_values import formula_of, same_rank

Tensor = torch.Tensor
# From targets as they come and float32 predictions to values, or truth values; None where the
# shapes are Keras' business.
Values = Callable[[Tensor, Tensor], Tensor | None]


def values_of(function: Any, settings: Mapping[str, Any]) -> Values | None:
    """Return the native form of the function that a metric averages; None where there is none.

    Args:
        function: A function of `keras.metrics`, like `sparse_categorical_accuracy`.
        settings: What it is called with beside targets and predictions.
    """
    if not isinstance(function, FunctionType):
        return None
    if function in _ACCURACIES:
        return _ACCURACIES[function](settings)
    formula = formula_of(function, settings)
    if formula is None:
        return None
    # Keras' functions for these make no ranks equal: where they differ, it has something to say.
    is_strict = function in (
        keras.losses.binary_crossentropy,
        keras.losses.categorical_crossentropy,
    )

    def values(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        usual = not is_strict or y_true.shape == y_pred.shape
        ready = formula.prepare(y_true, y_pred) if usual else None
        return None if ready is None else formula.values(*ready)

    return values


def squared_errors(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
    """Return the square of each error, of the predictions' shape."""
    y_true, y_pred = same_rank(y_true.to(torch.float32), y_pred)
    return (y_pred - y_true).square() if y_true.shape == y_pred.shape else None


def _sparse_accuracy(settings: Mapping[str, Any]) -> Values | None:
    def values(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true.squeeze(-1)
        if y_pred.ndim < 2 or y_true.shape != y_pred.shape[:-1] or y_true.shape[1:][-1:] == (1,):
            return None
        if y_true.is_floating_point():
            y_true = y_true.to(torch.float32)
        return y_pred.argmax(-1) == y_true

    return None if settings else values


def _categorical_accuracy(settings: Mapping[str, Any]) -> Values | None:
    def values(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        if y_true.shape != y_pred.shape or y_pred.ndim < 2 or y_true.dtype == torch.bool:
            return None
        return y_pred.argmax(-1) == y_true.argmax(-1)

    return None if settings else values


def _binary_accuracy(settings: Mapping[str, Any]) -> Values | None:
    threshold = settings.get("threshold", 0.5)
    if set(settings) - {"threshold"} or not isinstance(threshold, float | int):
        return None

    def values(y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            return None
        return (y_pred > threshold).to(y_true.dtype) == y_true

    return values


_ACCURACIES: dict[Any, Callable[[Mapping[str, Any]], Values | None]] = {
    keras.metrics.sparse_categorical_accuracy: _sparse_accuracy,
    keras.metrics.categorical_accuracy: _categorical_accuracy,
    keras.metrics.binary_accuracy: _binary_accuracy,
}
