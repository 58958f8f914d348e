"""Layers that apply an activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._activation import native_activation
from slipstream.lowering._cast import cast, compute_dtype, weight_of
from slipstream.lowering._rule import Call, Rule, Run

Function = Callable[[torch.Tensor], torch.Tensor]


def _elementwise(layer: Any, call: Call, function: Function | None) -> Run:
    index = call.only_floating().index
    dtype = compute_dtype(layer)

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = cast(tensors[index], dtype)
        return x if function is None else function(x)

    return run


def _activation(layer: Any, call: Call) -> Run:
    return _elementwise(layer, call, native_activation(layer.activation))


def _relu(layer: Any, call: Call) -> Run:
    slope, ceiling, threshold = layer.negative_slope, layer.max_value, layer.threshold
    if ceiling is None and not threshold:
        if not slope:
            return _elementwise(layer, call, torch.relu)
        return _elementwise(layer, call, lambda x: functional.leaky_relu(x, slope))

    # Step by step as Keras does, for the same gradients where the pieces meet.
    def pieces(x: torch.Tensor) -> torch.Tensor:
        below = torch.relu(threshold - x) if slope else None
        if threshold:
            x = torch.where(x > threshold, x, 0)
        elif ceiling != 6:
            x = torch.relu(x)
        if ceiling == 6 and not threshold:
            x = functional.relu6(x)
        elif ceiling is not None:
            x = x.clamp(0, ceiling)
        return x if below is None else x - slope * below

    return _elementwise(layer, call, pieces)


def _leaky_relu(layer: Any, call: Call) -> Run:
    slope = layer.negative_slope
    return _elementwise(layer, call, lambda x: functional.leaky_relu(x, slope))


def _elu(layer: Any, call: Call) -> Run:
    alpha = layer.alpha
    return _elementwise(layer, call, lambda x: functional.elu(x, alpha))


def _prelu(layer: Any, call: Call) -> Run:
    alpha = weight_of(layer.alpha, compute_dtype(layer))
    # PyTorch's own prelu has another gradient at zero, where padding and ReLU put many inputs.
    return _elementwise(layer, call, lambda x: torch.relu(x) - alpha() * torch.relu(-x))


def _softmax(layer: Any, call: Call) -> Run:
    slot = call.only_floating("mask")
    given = call.mask()
    dtype = compute_dtype(layer)
    axes = tuple(layer.axis) if isinstance(layer.axis, list | tuple) else (layer.axis,)
    lowest = -3e4 if dtype == torch.float16 else -1e9

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del training
        x = cast(tensors[slot.index], dtype)
        mask = masks[slot.index] if given is None else tensors[given.index]
        if mask is not None:
            mask = mask if mask.dtype == torch.bool else mask > 0.5
            x = torch.where(mask, x, lowest)
        if len(axes) == 1:
            x = torch.softmax(x, axes[0])
        else:
            x = torch.exp(x - torch.logsumexp(x, axes, keepdim=True))
        return x if mask is None else torch.where(mask, x, 0.0)

    return run


_layers = keras.layers
RULES = (
    Rule((_layers.Activation,), _activation),
    Rule((_layers.ReLU,), _relu),
    Rule((_layers.LeakyReLU,), _leaky_relu),
    Rule((_layers.ELU,), _elu),
    Rule((_layers.PReLU,), _prelu),
    Rule((_layers.Softmax,), _softmax),
)
