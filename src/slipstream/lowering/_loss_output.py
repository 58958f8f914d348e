"""The loss of one output: native where it is one of the usual ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch
from keras.src.losses.losses import LossFunctionWrapper

from slipstream.lowering._loss_reduce import REDUCTIONS, reduce_losses
from slipstream.lowering._loss_values import Formula, formula_of, smoothed_formula

Tensor = torch.Tensor
F32 = torch.float32
# Slipstream's own loss, by the name under which Keras knows it.
SMOOTHED = "slipstream>SmoothedSparseCategoricalCrossentropy"
# From targets, predictions and sample weights to the loss of one output; None where the shapes
# are Keras' business.
OutputLoss = Callable[[Any, Any, Any], Tensor | None]


def of_loss(loss: Any) -> OutputLoss | str:
    """Return the native form of one of Keras' loss objects, or why there is none."""
    name = getattr(loss, "name", type(loss).__name__)
    if type(loss).__call__ is not keras.losses.Loss.__call__ or "call" in vars(loss):
        return f"{name} has no native form"
    if loss.dtype != "float32" or loss.reduction not in REDUCTIONS:
        return f"{name} in {loss.dtype} with reduction {loss.reduction}"
    formula = _formula(loss)
    if formula is None:
        return f"{name} has no native form as it is set"
    reduction = loss.reduction

    def native(y_true: Any, y_pred: Any, weights: Any) -> Tensor | None:
        if not _are_tensors(y_true, y_pred, weights):
            return None
        ready = formula.prepare(y_true, y_pred if y_pred.dtype == F32 else y_pred.to(F32))
        if ready is None:
            return None
        mask = getattr(y_pred, "_keras_mask", None)
        if weights is None and mask is None and reduction != "sum":
            return formula.mean(*ready)
        return reduce_losses(formula.values(*ready), weights, mask, reduction)

    return native


def _formula(loss: Any) -> Formula | None:
    # A class of a user's own may do anything before and after the function that it wraps.
    if type(loss).call is LossFunctionWrapper.call:
        return formula_of(loss.fn, loss._fn_kwargs)
    if keras.saving.get_registered_name(type(loss)) == SMOOTHED:
        return smoothed_formula(loss.smoothing, loss.from_logits)
    return None


def _are_tensors(y_true: Any, y_pred: Any, weights: Any) -> bool:
    return (
        isinstance(y_true, Tensor)
        and isinstance(y_pred, Tensor)
        and (weights is None or isinstance(weights, Tensor))
    )
