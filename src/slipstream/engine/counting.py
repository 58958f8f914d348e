"""How much arithmetic a model does: multiply-adds of one forward pass of one example."""

from __future__ import annotations

import math
from typing import Any

import keras


def count_multiply_adds(model: Any) -> int:
    """Return the multiply-adds of one example's forward pass, as far as they can be told.

    Counted are dense, convolutional, recurrent and attention layers, which do nearly all of the
    work; element-wise layers are not. Layers whose output shape is unknown count as nothing.

    Args:
        model: A built Keras model.
    """
    return sum(_layer(layer) for layer in model._flatten_layers() if not _has_layers(layer))


def _has_layers(layer: Any) -> bool:
    return isinstance(layer, keras.Model)


def _layer(layer: Any) -> int:
    try:
        output_shape = layer.output.shape
        input_shape = layer.input.shape
    except (AttributeError, ValueError):
        # A layer inside another, or called several times: its parent's shape is not its own.
        return 0
    weights = {variable.name: tuple(variable.shape) for variable in layer.trainable_variables}
    if isinstance(layer, keras.layers.RNN):
        return _known(input_shape[1:2]) * _kernels(weights)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _attention(layer, input_shape)
    return _positions(layer, output_shape) * _kernels(weights)


def _kernels(weights: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for name, shape in weights.items() if "kernel" in name)


def _positions(layer: Any, shape: tuple[int | None, ...]) -> int:
    """How often the kernel of a layer is applied to one example."""
    if getattr(layer, "data_format", None) == "channels_first":
        return _known(shape[2:])
    return _known(shape[1:-1])


def _attention(layer: Any, shape: Any) -> int:
    first = shape[0] if isinstance(shape, list) else shape
    length = _known(first[1:-1])
    kernels = [tuple(v.shape) for v in layer.trainable_variables if len(v.shape) > 2]
    projections = sum(math.prod(shape) for shape in kernels)
    scores = 2 * length * length * int(layer._num_heads * layer._key_dim)
    return int(length * projections + scores)


def _known(sizes: Any) -> int:
    return int(math.prod(size or 1 for size in sizes))
