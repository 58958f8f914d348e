"""A compiled loss: that of one output, or the weighted sum of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras.src.trainers.compile_utils import CompileLoss

from slipstream.backends._shares import factor_of
from slipstream.lowering._loss_output import OutputLoss, of_loss

Tensor = torch.Tensor


@dataclass(frozen=True)
class Compiled:
    """A compiled loss, called natively.

    Args:
        run: From targets, predictions and sample weights to the loss; None where their structure
            or shapes are Keras' business.
        left: The losses that Keras computes itself, and why.
    """

    run: OutputLoss
    left: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """The loss of one output.

    Args:
        key: The output's place or name; None where there is but one.
        loss: What computes it, times the factor that the compiled loss has for it now.
        weight: What it is multiplied by.
        tracker: The metric that averages it, or None.
    """

    key: Any
    loss: OutputLoss
    weight: float | None
    tracker: Any


def of_compiled(compiled: Any) -> Compiled | str:
    """Return the native form of what `Model.compile` made of its losses, or why there is none."""
    if type(compiled) is not CompileLoss:
        is_own = isinstance(compiled, CompileLoss)
        return "it weighs its outputs in a way of its own" if is_own else "no loss was compiled"
    if not compiled.built:
        return "the compiled loss is not built"
    if compiled.dtype != "float32":
        return f"it is computed in {compiled.dtype}"
    structure = compiled._y_pred_build_structure
    flat = not any(keras.tree.is_nested(part) for part in _parts(structure))
    depth = int(keras.tree.is_nested(structure))
    losses = compiled._flat_losses
    if not flat or any(len(entry.path) != depth for entry in losses) or not losses:
        return "outputs within outputs"
    found = [of_loss(entry.loss) for entry in losses]
    trackers = compiled.metrics or [None] * len(losses)
    entries = [
        _Entry(
            entry.path[0] if depth else None,
            _scaled(compiled, place, _through_keras(entry.loss) if isinstance(loss, str) else loss),
            entry.loss_weights,
            tracker,
        )
        for place, (entry, loss, tracker) in enumerate(zip(losses, found, trackers, strict=False))
    ]
    left = tuple(loss for loss in found if isinstance(loss, str))
    if depth:
        return Compiled(_sum_of(entries, type(structure)), left)
    # Keras takes the first where several were given for one output.
    return Compiled(_alone(entries[0]), left[:1])


def _parts(structure: Any) -> Sequence[Any]:
    if isinstance(structure, Mapping):
        return list(structure.values())
    return list(structure) if isinstance(structure, list | tuple) else [structure]


def _through_keras(loss: Any) -> OutputLoss:
    def run(y_true: Any, y_pred: Any, weights: Any) -> Tensor:
        value: Tensor = keras.ops.cast(loss(y_true, y_pred, weights), "float32")
        return value

    return run


def _scaled(compiled: Any, place: int, loss: OutputLoss) -> OutputLoss:
    def run(y_true: Any, y_pred: Any, weights: Any) -> Tensor | None:
        value = loss(y_true, y_pred, weights)
        factor = factor_of(compiled, place)
        return value if value is None or factor is None else value * factor

    return run


def _alone(entry: _Entry) -> OutputLoss:
    def run(y_true: Any, y_pred: Any, weights: Any) -> Tensor | None:
        if not isinstance(y_true, Tensor) or not isinstance(y_pred, Tensor):
            return None
        if weights is not None and not isinstance(weights, Tensor):
            return None
        value = entry.loss(y_true, y_pred, weights)
        return value if value is None or entry.weight is None else value * entry.weight

    return run


def _sum_of(entries: Sequence[_Entry], kind: type) -> OutputLoss:
    alike = _same_names if issubclass(kind, Mapping) else _same_length

    def run(y_true: Any, y_pred: Any, weights: Any) -> Tensor | None:
        shared = weights is None or isinstance(weights, Tensor)
        if not alike(y_true, y_pred) or not (shared or alike(weights, y_pred)):
            return None
        values = [
            entry.loss(
                y_true[entry.key], y_pred[entry.key], weights if shared else weights[entry.key]
            )
            for entry in entries
        ]
        if any(value is None for value in values):
            return None
        total = None
        for entry, value in zip(entries, values, strict=True):
            assert value is not None
            if entry.tracker is not None:
                _track(entry.tracker, value.detach(), len(y_pred[entry.key]))
            part = value if entry.weight is None else value * entry.weight
            total = part if total is None else total + part
        return total

    return run


def _track(tracker: Any, value: Tensor, num_examples: int) -> None:
    tracker.total._value.add_(value, alpha=num_examples)
    tracker.count._value.add_(num_examples)


def _same_names(one: Any, other: Any) -> bool:
    return isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys()


def _same_length(one: Any, other: Any) -> bool:
    both = isinstance(one, list | tuple) and isinstance(other, list | tuple)
    return both and len(one) == len(other)
