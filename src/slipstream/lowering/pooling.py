"""Pooling over windows and over everything, on channels-last memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._cast import cast, compute_dtype
from slipstream.lowering._planes import Pair, pad, pair, planes_of, same_padding
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run

Pool = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Window:
    """The window of a pooling layer, as it moves over planes."""

    size: Pair
    strides: Pair
    same: bool

    def margins(self, planes: torch.Tensor) -> list[Pair]:
        if not self.same:
            return [(0, 0), (0, 0)]
        return same_padding(planes.shape, self.size, self.strides, (1, 1))

    def largest(self, planes: torch.Tensor) -> torch.Tensor:
        margins = self.margins(planes)
        # A margin that is one wider behind than before is what ceil_mode grants, without a copy;
        # with stride 1 it grants nothing.
        uneven = any(before != after for before, after in margins)
        if uneven and not all(
            before == after or stride > 1
            for (before, after), stride in zip(margins, self.strides, strict=True)
        ):
            planes, margins, uneven = pad(planes, margins, "replicate"), [(0, 0), (0, 0)], False
        before = (margins[0][0], margins[1][0])
        return functional.max_pool2d(planes, self.size, self.strides, before, ceil_mode=uneven)

    def average(self, planes: torch.Tensor) -> torch.Tensor:
        margins = self.margins(planes)
        if any(before != after for before, after in margins):
            # Keras' torch backend averages over what it pads with here.
            planes, margins = pad(planes, margins, "replicate"), [(0, 0), (0, 0)]
        before = (margins[0][0], margins[1][0])
        return functional.avg_pool2d(
            planes, self.size, self.strides, before, count_include_pad=False
        )


def _windowed(layer: Any, call: Call) -> Run:
    index = call.only_floating().index
    dtype = compute_dtype(layer)
    planes = planes_of(len(layer.pool_size), layer.data_format)
    if not all(layer.strides):
        raise NotLoweredError("a stride is zero")
    window = _Window(pair(layer.pool_size), pair(layer.strides), layer.padding.lower() == "same")
    pool: Pool = window.largest if layer.pool_mode == "max" else window.average

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        return planes.leave(pool(planes.enter(cast(tensors[index], dtype))))

    return run


def _spatial_axes(layer: Any) -> tuple[int, ...]:
    rank = layer.input_spec.ndim - 2
    return tuple(range(1, rank + 1) if layer.data_format == "channels_last" else range(2, rank + 2))


def _global(reduce: Callable[..., torch.Tensor], layer: Any, call: Call) -> Run:
    index = call.only_floating().index
    dtype, axes, keep = compute_dtype(layer), _spatial_axes(layer), layer.keepdims

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        return reduce(cast(tensors[index], dtype), axes, keep)

    return run


def _global_average_of_steps(layer: Any, call: Call) -> Run:
    slot = call.only_floating("mask")
    dtype, (axis,), keep = compute_dtype(layer), _spatial_axes(layer), layer.keepdims
    given = call.mask()

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del training
        x = cast(tensors[slot.index], dtype)
        mask = masks[slot.index] if given is None else tensors[given.index]
        if mask is None:
            return x.mean(axis, keep)
        mask = mask.bool().unsqueeze(3 - axis)
        count = mask.to(dtype).sum(axis, keepdim=keep)
        return torch.where(mask, x, 0).sum(axis, keepdim=keep) / count

    return run


_layers = keras.layers
RULES = (
    Rule((_layers.MaxPooling1D, _layers.MaxPooling2D), _windowed),
    Rule((_layers.AveragePooling1D, _layers.AveragePooling2D), _windowed),
    Rule((_layers.GlobalAveragePooling1D,), _global_average_of_steps),
    Rule((_layers.GlobalAveragePooling2D,), partial(_global, torch.mean)),
    Rule((_layers.GlobalMaxPooling1D, _layers.GlobalMaxPooling2D), partial(_global, torch.amax)),
)
