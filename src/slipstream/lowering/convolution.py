"""Convolutions, channels-last without copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._activation import in_place_activation, native_activation
from slipstream.lowering._cast import cast, compute_dtype, weight_of
from slipstream.lowering._layout import restride
from slipstream.lowering._planes import Pair, pad, pair, planes_of, same_padding
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Tolerance

Kernel = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class _Window:
    """How a kernel moves over planes."""

    size: Pair
    strides: Pair
    dilation: Pair
    padding: str

    def convolve(
        self, planes: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, groups: int
    ) -> torch.Tensor:
        margins: tuple[int, int] = (0, 0)
        if self.padding == "same":
            both = same_padding(planes.shape, self.size, self.strides, self.dilation)
            if all(before == after for before, after in both):
                # The kernel pads by itself, but only alike on both sides.
                margins = (both[0][0], both[1][0])
            else:
                planes = pad(planes, both)
        elif self.padding == "causal":
            planes = pad(planes, [(0, 0), ((self.size[1] - 1) * self.dilation[1], 0)])
        return functional.conv2d(planes, kernel, bias, self.strides, margins, self.dilation, groups)


def _window_of(layer: Any) -> _Window:
    if layer.padding not in ("valid", "same", "causal"):
        raise NotLoweredError(f"it pads with {layer.padding!r}")
    size, strides = pair(layer.kernel_size), pair(layer.strides)
    return _Window(size, strides, pair(layer.dilation_rate), layer.padding)


def _finish(layer: Any, call: Call, convolve: Callable[..., torch.Tensor]) -> Run:
    """Return a layer's call around its convolution of planes: casts, views, bias, activation."""
    index = call.only_floating().index
    dtype = compute_dtype(layer)
    planes = planes_of(layer.rank, layer.data_format)
    bias = None if layer.bias is None else weight_of(layer.bias, dtype)
    after = native_activation(layer.activation)
    at_once = in_place_activation(layer.activation)
    if at_once is not None:
        after = None

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = planes.enter(cast(tensors[index], dtype))
        x = convolve(x, None if bias is None else bias())
        if at_once is not None:
            x = at_once(x)
        x = planes.leave(x)
        return x if after is None else after(x)

    return run


def _full_kernel(variable: Any, dtype: torch.dtype) -> Kernel:
    """Return (outputs, inputs, rows, columns) of a kernel, contiguous with inputs last."""
    weight = weight_of(variable, dtype)
    if len(variable.shape) == 3:
        restride(variable, (2, 0, 1))
        return lambda: weight().permute(2, 1, 0).unsqueeze(2)
    restride(variable, (3, 0, 1, 2))
    return lambda: weight().permute(3, 2, 0, 1)


def _depth_kernel(variable: Any, dtype: torch.dtype) -> Kernel:
    """Return (channels x multiplier, 1, rows, columns) of a depthwise kernel, contiguous."""
    weight = weight_of(variable, dtype)
    if len(variable.shape) == 3:
        restride(variable, (1, 2, 0))
        return lambda: weight().permute(1, 2, 0).flatten(0, 1)[:, None, None]
    restride(variable, (2, 3, 0, 1))
    return lambda: weight().permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)


def _convolution(layer: Any, call: Call) -> Run:
    window, groups = _window_of(layer), layer.groups
    kernel = _full_kernel(layer._kernel, compute_dtype(layer))
    return _finish(layer, call, lambda x, bias: window.convolve(x, kernel(), bias, groups))


def _depthwise(layer: Any, call: Call) -> Run:
    window = _window_of(layer)
    kernel = _depth_kernel(layer.kernel, compute_dtype(layer))
    return _finish(layer, call, lambda x, bias: window.convolve(x, kernel(), bias, x.shape[1]))


def _separable(layer: Any, call: Call) -> Run:
    window, dtype = _window_of(layer), compute_dtype(layer)
    depth = _depth_kernel(layer.depthwise_kernel, dtype)
    point = _full_kernel(layer.pointwise_kernel, dtype)

    def convolve(x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        x = window.convolve(x, depth(), None, x.shape[1])
        return functional.conv2d(x, point(), bias)

    return _finish(layer, call, convolve)


# Sums over windows of many channels round differently with the layout.
_TOLERANCE = Tolerance(float32=1e-5)

RULES = (
    Rule((keras.layers.Conv1D, keras.layers.Conv2D), _convolution, _TOLERANCE),
    Rule((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), _depthwise, _TOLERANCE),
    Rule((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), _separable, _TOLERANCE),
)
