"""Layers that move elements around without computing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._cast import cast, compute_dtype
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run

Move = Callable[[torch.Tensor], torch.Tensor]


def _moving(make: Callable[[Any], Move]) -> Callable[[Any, Call], Run]:
    """Return a rule from what makes a layer's move of its one, cast tensor."""

    def lower(layer: Any, call: Call) -> Run:
        index = call.only_tensor().index
        dtype = compute_dtype(layer)
        move = make(layer)

        def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
            del masks, training
            return move(cast(tensors[index], dtype))

        return run

    return lower


def _identity(layer: Any) -> Move:
    del layer
    return lambda x: x


def _flatten(layer: Any) -> Move:
    if layer.data_format == "channels_first":
        return lambda x: _flat(x if x.ndim < 3 else x.movedim(1, -1))
    return _flat


def _flat(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _reshape(layer: Any) -> Move:
    target = [-1 if length is None else length for length in layer.target_shape]
    if target.count(-1) > 1:
        raise NotLoweredError("its target shape leaves more than one axis open")
    known = math.prod(length for length in target if length != -1)

    def move(x: torch.Tensor) -> torch.Tensor:
        # An empty batch leaves nothing to infer a length from.
        rest = math.prod(x.shape[1:]) // known if known else -1
        return x.reshape(x.shape[0], *(rest if length == -1 else length for length in target))

    return move


def _permute(layer: Any) -> Move:
    order = (0, *layer.dims)
    return lambda x: x.permute(order)


def _repeat_vector(layer: Any) -> Move:
    times = layer.n
    return lambda x: x.unsqueeze(1).repeat(1, times, 1)


def _zero_padding(layer: Any) -> Move:
    margins = _per_axis(layer.padding)
    if layer.data_format == "channels_last":
        margins = [*margins, (0, 0)]
    # PyTorch counts axes from the last.
    flat = [width for axis in reversed(margins) for width in axis]
    return lambda x: functional.pad(x, flat)


def _cropping(layer: Any) -> Move:
    cuts = _per_axis(layer.cropping)
    first = 1 if getattr(layer, "data_format", "channels_last") == "channels_last" else 2

    def move(x: torch.Tensor) -> torch.Tensor:
        for axis, (before, after) in enumerate(cuts, first):
            x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x

    return move


def _up_sampling(layer: Any) -> Move:
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise NotLoweredError(f"it interpolates by {layer.interpolation!r}")
    times = (layer.size,) if isinstance(layer.size, int) else tuple(layer.size)
    first = 1 if getattr(layer, "data_format", "channels_last") == "channels_last" else 2

    def move(x: torch.Tensor) -> torch.Tensor:
        # Every spatial axis gets one of its copies behind it; one pass writes them all.
        shape = list(x.shape)
        wide = x
        for offset, factor in enumerate(times):
            axis = first + offset
            shape[axis] *= factor
            wide = wide.unsqueeze(axis + offset + 1)
        sizes = [-1] * wide.ndim
        for offset, factor in enumerate(times):
            sizes[first + 2 * offset + 1] = factor
        return wide.expand(sizes).reshape(shape)

    return move


def _per_axis(setting: Any) -> list[tuple[int, int]]:
    """Return (before, after) of each spatial axis; one axis is given without a list around it."""
    if isinstance(setting[0], int):
        before, after = setting
        return [(before, after)]
    return [(before, after) for before, after in setting]


_layers = keras.layers
RULES = (
    Rule((_layers.Identity,), _moving(_identity)),
    Rule((_layers.Flatten,), _moving(_flatten)),
    Rule((_layers.Reshape,), _moving(_reshape)),
    Rule((_layers.Permute,), _moving(_permute)),
    Rule((_layers.RepeatVector,), _moving(_repeat_vector)),
    Rule((_layers.ZeroPadding1D, _layers.ZeroPadding2D), _moving(_zero_padding)),
    Rule((_layers.Cropping1D, _layers.Cropping2D), _moving(_cropping)),
    Rule((_layers.UpSampling1D, _layers.UpSampling2D), _moving(_up_sampling)),
)
