"""Layers that are random in training: dropout and Gaussian noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from slipstream.lowering._cast import cast, compute_dtype
from slipstream.lowering._draw import Dropout, SeedStream
from slipstream.lowering._rule import Call, Rule, Run

Disturb = Callable[[torch.Tensor], torch.Tensor]
MaskShape = Callable[[torch.Tensor], Sequence[int] | None]


def _in_training(layer: Any, call: Call, disturb: Disturb | None) -> Run:
    index = call.only_floating().index
    dtype = compute_dtype(layer)

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks
        x = cast(tensors[index], dtype)
        return disturb(x) if training and disturb is not None else x

    return run


def _dropout_with(shape_of: Callable[[Any], MaskShape]) -> Callable[[Any, Call], Run]:
    """Return the rule of a dropout layer whose mask has a shape of its own."""

    def lower(layer: Any, call: Call) -> Run:
        if layer.rate == 0:
            return _in_training(layer, call, None)
        if layer.rate == 1:
            # Keras draws no seed for this.
            return _in_training(layer, call, torch.zeros_like)
        dropout, shape = Dropout(layer.rate, layer.seed_generator), shape_of(layer)
        return _in_training(layer, call, lambda x: dropout(x, shape(x)))

    return lower


def _own_shape(layer: Any) -> MaskShape:
    lengths = layer.noise_shape
    if lengths is None:
        return lambda _x: None
    return lambda x: [
        x.shape[axis] if length is None else length for axis, length in enumerate(lengths)
    ]


def _whole_channels(layer: Any) -> MaskShape:
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return lambda x: [*x.shape[:2], *[1] * (x.ndim - 2)]
    return lambda x: [x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]]


def _gaussian_dropout(layer: Any, call: Call) -> Run:
    if layer.rate == 0:
        return _in_training(layer, call, None)
    stream, deviation = SeedStream(layer.seed_generator), math.sqrt(layer.rate / (1 - layer.rate))
    return _in_training(layer, call, lambda x: x * _normal(x, 1.0, deviation, stream))


def _gaussian_noise(layer: Any, call: Call) -> Run:
    if layer.stddev == 0:
        return _in_training(layer, call, None)
    stream, deviation = SeedStream(layer.seed_generator), layer.stddev
    return _in_training(layer, call, lambda x: x + _normal(x, 0.0, deviation, stream))


def _normal(like: torch.Tensor, mean: float, deviation: float, stream: SeedStream) -> torch.Tensor:
    """Return the very numbers that Keras draws, on the processor."""
    draws = stream.on_device()
    if draws is not None:
        return draws.normal(like, mean, deviation)
    return torch.normal(
        mean,
        deviation,
        size=tuple(like.shape),
        generator=stream.generator(as_keras=True),
        dtype=like.dtype,
        device=like.device,
    )


_layers = keras.layers
RULES = (
    Rule((_layers.Dropout,), _dropout_with(_own_shape)),
    Rule((_layers.SpatialDropout1D, _layers.SpatialDropout2D), _dropout_with(_whole_channels)),
    Rule((_layers.GaussianDropout,), _gaussian_dropout),
    Rule((_layers.GaussianNoise,), _gaussian_noise),
)
