"""The total loss of a model: native where it is one of the usual losses of one output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, final

import keras
import torch
from keras.src.losses.losses import LossFunctionWrapper

from slipstream.backends.torch import Seen, has_own
from slipstream.lowering._loss_reduce import REDUCTIONS, reduce_losses
from slipstream.lowering._loss_values import Formula, formula_of, smoothed_formula

Tensor = torch.Tensor
F32 = torch.float32
# Slipstream's own loss, by the name under which Keras knows it.
SMOOTHED = "slipstream>SmoothedSparseCategoricalCrossentropy"
# From targets, predictions and sample weights to the loss of one output; None where the shapes
# are Keras' business.
OutputLoss = Callable[[Any, Any, Any], Tensor | None]


@final
class NativeLoss:
    """Computes what `Model.compute_loss` does.

    Args:
        model: A compiled, built model.
        keras_loss: What Keras itself does, from a batch and whether it is training.
        only_regularizers: Whether no layer can add to the loss when the model is called; the
            regularizers of weights are always looked for.
    """

    def __init__(
        self,
        model: Any,
        keras_loss: Callable[[Seen, bool], Tensor],
        only_regularizers: bool,
    ) -> None:
        self._model = model
        self._keras_loss = keras_loss
        self._variables = list(model.trainable_variables)
        self._layers = [] if only_regularizers else list(model._flatten_layers())
        # Compiled losses come in turns: the plan's while training, the task's for evaluations.
        self._known: dict[int, tuple[Any, OutputLoss | str]] = {}

    def __call__(self, seen: Seen, training: bool) -> Tensor:
        compiled = self._model._compile_loss
        loss = self.output_loss(compiled)
        if isinstance(loss, str):
            return self._keras_loss(seen, training)
        value = loss(seen.y, seen.predictions, seen.weights)
        if value is None:
            return self._keras_loss(seen, training)
        others = list(self._others())
        return torch.stack([value, *others]).sum() if others else value

    def output_loss(self, compiled: Any) -> OutputLoss | str:
        """Return the native form of a compiled loss, or why there is none."""
        known = self._known.get(id(compiled))
        if known is not None:
            return known[1]
        try:
            native = _of_compiled(self._model, compiled)
        except AttributeError as error:
            return f"this version of Keras keeps its losses elsewhere: {error}"
        if getattr(compiled, "built", False):
            self._known[id(compiled)] = (compiled, native)
        return native

    def _others(self) -> Iterator[Tensor]:
        """Yield what layers and regularizers add, in Keras' order."""
        if any(layer._losses for layer in self._layers):
            for layer in self._layers:
                yield from (_as_float(loss).sum() for loss in layer._losses)
        for variable in self._variables:
            if variable.regularizer is not None and variable.trainable:
                yield penalty(variable)


def _of_compiled(model: Any, compiled: Any) -> OutputLoss | str:
    reason = _why_not(model, compiled)
    if reason:
        return reason
    entry = compiled._flat_losses[0]
    loss = of_loss(entry.loss)
    if isinstance(loss, str) or entry.loss_weights is None:
        return loss
    return _weighted(loss, entry.loss_weights)


def _why_not(model: Any, compiled: Any) -> str:
    if has_own(model, "compute_loss") or has_own(model, "_compute_loss"):
        return "the model computes its loss itself"
    if type(compiled) is not keras.src.trainers.compile_utils.CompileLoss:
        return "no loss was compiled"
    if not compiled.built:
        return "the compiled loss is not built"
    if len(compiled._flat_losses) != 1 or compiled._flat_losses[0].path:
        return "several outputs"
    return "" if compiled.dtype == "float32" else f"it is computed in {compiled.dtype}"


def of_loss(loss: Any) -> OutputLoss | str:
    """Return the native form of one of Keras' loss objects, or why there is none."""
    name = getattr(loss, "name", type(loss).__name__)
    if type(loss).__call__ is not keras.losses.Loss.__call__:
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


def _weighted(loss: OutputLoss, weight: float) -> OutputLoss:
    def weighted(y_true: Any, y_pred: Any, weights: Any) -> Tensor | None:
        value = loss(y_true, y_pred, weights)
        return None if value is None else value * weight

    return weighted


def penalty(variable: Any) -> Tensor:
    """Return what the regularizer of a variable adds to the loss."""
    regularizer, weight = variable.regularizer, variable._value
    total: Tensor
    if type(regularizer) is keras.regularizers.L2:
        total = weight.square().sum() * regularizer.l2
    elif type(regularizer) is keras.regularizers.L1:
        total = weight.abs().sum() * regularizer.l1
    else:
        total = _as_float(regularizer(variable)).sum()
    return total


def _are_tensors(y_true: Any, y_pred: Any, weights: Any) -> bool:
    return (
        isinstance(y_true, Tensor)
        and isinstance(y_pred, Tensor)
        and (weights is None or isinstance(weights, Tensor))
    )


def _as_float(loss: Any) -> Tensor:
    tensor: Tensor = keras.ops.convert_to_tensor(loss)
    return tensor if tensor.is_floating_point() else tensor.to(torch.float32)
