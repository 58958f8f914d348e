"""The usual losses, example by example and as means: what Keras' functions compute, natively."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import keras
import torch
from torch.nn import functional

Tensor = torch.Tensor
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Formula:
    """A loss as functions of targets and predictions, both of which `prepare` has made ready.

    Args:
        prepare: From targets as they come and float32 predictions to what the others take; None
            where the shapes are none of the usual: Keras knows what to do then, or to say.
        values: The losses, one for each example; the last axis of the predictions is gone.
        mean: The mean of all values.
    """

    prepare: Callable[[Tensor, Tensor], Pair | None]
    values: Callable[[Tensor, Tensor], Tensor]
    mean: Callable[[Tensor, Tensor], Tensor]


def formula_of(function: Any, settings: Mapping[str, Any]) -> Formula | None:
    """Return the formula of one of Keras' loss functions; None where there is none.

    Args:
        function: A function of `keras.losses`, like `mean_squared_error`.
        settings: What it is called with beside targets and predictions.
    """
    make = _FORMULAS.get(function) if isinstance(function, FunctionType) else None
    if make is None or settings.get("axis", -1) != -1 or isinstance(settings.get("axis"), bool):
        return None
    return make({name: value for name, value in settings.items() if name != "axis"})


def smoothed_formula(smoothing: float, from_logits: bool) -> Formula:
    """Return the cross-entropy of integer labels that are smoothed.

    -(1 - s) log p[y] - s mean(log p)
    """

    def values(y_true: Tensor, y_pred: Tensor) -> Tensor:
        if from_logits:
            log_p = functional.log_softmax(y_pred, -1)
        else:
            log_p = torch.clip(y_pred, keras.config.epsilon(), 1.0).log()
        chosen = log_p.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
        return -(1.0 - smoothing) * chosen - smoothing * log_p.mean(-1)

    return Formula(prepare_labels, values, lambda y_true, y_pred: values(y_true, y_pred).mean())


def same_rank(one: Tensor, other: Tensor) -> Pair:
    """Drop or add a last axis of length 1 where that makes the ranks equal, as Keras does."""
    if one.ndim == other.ndim + 1 and one.shape[-1] == 1:
        return (one, other.unsqueeze(-1)) if other.ndim == 1 else (one.squeeze(-1), other)
    if other.ndim == one.ndim + 1 and other.shape[-1] == 1:
        return (one.unsqueeze(-1), other) if one.ndim == 1 else (one, other.squeeze(-1))
    return one, other


def prepare_numbers(y_true: Tensor, y_pred: Tensor) -> Pair | None:
    """Return float32 targets of the predictions' shape."""
    if y_true.ndim != y_pred.ndim:
        y_true, y_pred = same_rank(y_true, y_pred)
    if y_true.shape != y_pred.shape or y_pred.ndim == 0:
        return None
    return y_true.to(torch.float32), y_pred


def prepare_labels(y_true: Tensor, y_pred: Tensor) -> Pair | None:
    """Return int64 labels, one for each row of the predictions."""
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if y_pred.ndim < 2 or y_true.shape != y_pred.shape[:-1]:
        return None
    if y_true.is_floating_point():
        # Keras goes through float32, whatever came.
        y_true = y_true.to(torch.float32)
    return y_true.long(), y_pred


def _prepare_classes(y_true: Tensor, y_pred: Tensor) -> Pair | None:
    # Keras warns of one class.
    return None if y_pred.shape[-1:] == (1,) else prepare_numbers(y_true, y_pred)


def _squared_error(settings: Mapping[str, Any]) -> Formula | None:
    if settings:
        return None
    return Formula(
        prepare_numbers,
        lambda y_true, y_pred: (y_true - y_pred).square().mean(-1),
        lambda y_true, y_pred: functional.mse_loss(y_pred, y_true),
    )


def _absolute_error(settings: Mapping[str, Any]) -> Formula | None:
    if settings:
        return None
    return Formula(
        prepare_numbers,
        lambda y_true, y_pred: (y_true - y_pred).abs().mean(-1),
        lambda y_true, y_pred: functional.l1_loss(y_pred, y_true),
    )


def _huber(settings: Mapping[str, Any]) -> Formula | None:
    delta = settings.get("delta", 1.0)
    if set(settings) - {"delta"} or not isinstance(delta, float | int) or delta <= 0:
        return None
    return Formula(
        prepare_numbers,
        lambda y_true, y_pred: functional.huber_loss(
            y_pred, y_true, reduction="none", delta=delta
        ).mean(-1),
        lambda y_true, y_pred: functional.huber_loss(y_pred, y_true, delta=delta),
    )


def _binary(settings: Mapping[str, Any]) -> Formula | None:
    smoothing = settings.get("label_smoothing", 0.0)
    from_logits = settings.get("from_logits", False)
    if set(settings) - {"label_smoothing", "from_logits"} or not _are_plain(smoothing, from_logits):
        return None

    def entropy(y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        if smoothing:
            y_true = y_true * (1.0 - smoothing) + 0.5 * smoothing
        if from_logits:
            return functional.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
        epsilon = keras.config.epsilon()
        clipped = torch.clip(y_pred, epsilon, 1.0 - epsilon)
        return _entropy_of_probabilities(y_true, clipped, reduction)

    return Formula(
        prepare_numbers,
        lambda y_true, y_pred: entropy(y_true, y_pred, "none").mean(-1),
        lambda y_true, y_pred: entropy(y_true, y_pred, "mean"),
    )


def _entropy_of_probabilities(y_true: Tensor, p: Tensor, reduction: str) -> Tensor:
    """Return the entropy of probabilities, NaN where there is one: torch's kernel refuses those."""
    if p.is_cpu:
        try:
            return functional.binary_cross_entropy(p, y_true, reduction=reduction)
        except RuntimeError:
            if not (p.isnan().any() or y_true.isnan().any()):
                raise
    # On a GPU the refusal would be known too late, and end all work there.
    losses = -(y_true * p.log() + (1.0 - y_true) * torch.log1p(-p))
    return losses.mean() if reduction == "mean" else losses


def _categorical(settings: Mapping[str, Any]) -> Formula | None:
    smoothing = settings.get("label_smoothing", 0.0)
    from_logits = settings.get("from_logits", False)
    if set(settings) - {"label_smoothing", "from_logits"} or not _are_plain(smoothing, from_logits):
        return None

    def values(y_true: Tensor, y_pred: Tensor) -> Tensor:
        if smoothing:
            y_true = y_true * (1.0 - smoothing) + smoothing / y_true.shape[-1]
        return -(y_true * _log_probabilities(y_pred, from_logits)).sum(-1)

    return Formula(_prepare_classes, values, lambda y_true, y_pred: values(y_true, y_pred).mean())


def _sparse(settings: Mapping[str, Any]) -> Formula | None:
    from_logits = settings.get("from_logits", False)
    ignored = settings.get("ignore_class")
    if set(settings) - {"ignore_class", "from_logits"} or ignored is not None:
        return None
    if not isinstance(from_logits, bool):
        return None

    def entropy(y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
        if y_pred.ndim > 2:
            # One row for each label: the kernels for planes of labels are slower.
            y_pred, y_true = y_pred.reshape(-1, y_pred.shape[-1]), y_true.reshape(-1)
        if from_logits:
            return functional.cross_entropy(y_pred, y_true, reduction=reduction)
        return functional.nll_loss(_log_probabilities(y_pred, False), y_true, reduction=reduction)

    return Formula(
        prepare_labels,
        lambda y_true, y_pred: entropy(y_true, y_pred, "none").reshape(y_true.shape),
        # Not the kernel's own mean, which leaves out labels of -100: Keras counts them.
        lambda y_true, y_pred: entropy(y_true, y_pred, "sum") / y_true.numel(),
    )


def _log_probabilities(y_pred: Tensor, from_logits: bool) -> Tensor:
    if from_logits:
        return functional.log_softmax(y_pred, -1)
    epsilon = keras.config.epsilon()
    p = y_pred / y_pred.sum(-1, keepdim=True)
    return torch.clip(p, epsilon, 1.0 - epsilon).log()


def _are_plain(smoothing: Any, from_logits: Any) -> bool:
    return isinstance(smoothing, float | int) and isinstance(from_logits, bool)


_FORMULAS: dict[Any, Callable[[Mapping[str, Any]], Formula | None]] = {
    keras.losses.mean_squared_error: _squared_error,
    keras.losses.mean_absolute_error: _absolute_error,
    keras.losses.huber: _huber,
    keras.losses.binary_crossentropy: _binary,
    keras.losses.categorical_crossentropy: _categorical,
    keras.losses.sparse_categorical_crossentropy: _sparse,
}
