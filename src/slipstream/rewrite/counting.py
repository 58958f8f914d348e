"""How much arithmetic a model does: multiply-adds of one forward pass of one example."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

Shape = tuple[int, ...]

# Their kernels are applied as often as they have inputs, not outputs.
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Backends call what is inside these once or once a step: they are counted as a whole.
REPEATING = (keras.layers.RNN, keras.layers.TimeDistributed)
ATTENTION = (keras.layers.MultiHeadAttention,)


class Call(NamedTuple):
    """One call of a layer: the shapes of its inputs and of its first output, batch included."""

    layer: Any
    inputs: list[Shape]
    output: Shape


def count_multiply_adds(model: Any, x: Any) -> int:
    """Return the multiply-adds of one example's forward pass, as far as they can be told.

    Counted are dense, convolutional, recurrent and attention layers, which do nearly all of the
    work; element-wise layers and operations outside layers are not.

    Args:
        model: A built Keras model, with a graph of layers or without.
        x: Inputs as the model takes them; their shapes count, their values do not.
    """
    return sum(_multiply_adds(call) for call in _calls(model, x))


def count_activations(model: Any, x: Any) -> int:
    """Return the numbers that the layers of a model put out for one example.

    Args:
        model: A built Keras model.
        x: Inputs as the model takes them; their shapes count, their values do not.
    """
    return sum(math.prod(call.output[1:]) for call in _calls(model, x))


def _calls(model: Any, x: Any) -> list[Call]:
    """Return the calls of layers that one example makes."""
    tensors = keras.tree.map_structure(
        lambda array: keras.KerasTensor(
            (1, *array.shape[1:]), keras.backend.standardize_dtype(array.dtype)
        ),
        x,
    )
    with _noted_calls() as calls:
        keras.src.backend.compute_output_spec(model, tensors)
    return calls


@contextmanager
def _noted_calls() -> Iterator[list[Call]]:
    """Within it every call of a layer is noted, but for those inside layers that repeat."""
    calls: list[Call] = []
    inside = 0
    original = keras.layers.Layer.__call__

    def noted(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        repeats = isinstance(layer, REPEATING)
        inside += repeats
        try:
            result = original(layer, *args, **kwargs)
        finally:
            inside -= repeats
        shapes = [_shape(part) for part in keras.tree.flatten([args, kwargs]) if _shape(part)]
        outputs = keras.tree.flatten(result)
        if inside == 0 and shapes and outputs:
            calls.append(Call(layer, shapes, _shape(outputs[0])))
        return result

    keras.layers.Layer.__call__ = noted
    try:
        yield calls
    finally:
        keras.layers.Layer.__call__ = original


def _shape(value: Any) -> Shape:
    return tuple(size or 1 for size in getattr(value, "shape", None) or ())


def _multiply_adds(call: Call) -> int:
    layer = call.layer
    if isinstance(layer, keras.layers.RNN):
        return call.inputs[0][1] * _kernels(layer.weights)
    if isinstance(layer, keras.layers.TimeDistributed):
        return _positions(layer.layer, call.output) * _kernels(layer.weights)
    if isinstance(layer, ATTENTION):
        # Its projections are layers of their own; this is the product with keys and with values.
        queries, keys = call.inputs[0][1:-1], call.inputs[1][1:-1]
        width = int(layer._num_heads * (layer._key_dim + layer._value_dim))
        return math.prod(queries) * math.prod(keys) * width
    if isinstance(layer, keras.layers.EinsumDense) and "..." not in layer.equation:
        return _einsum(layer.equation, call.inputs[0], tuple(layer._kernel.shape))
    at = call.inputs[0] if isinstance(layer, TRANSPOSED) else call.output
    # Its own variables alone: those of layers within it are counted with their calls.
    return _positions(layer, at) * _kernels(layer._trainable_variables)


def _kernels(variables: list[Any]) -> int:
    return sum(math.prod(v.shape) for v in variables if "kernel" in v.name)


def _positions(layer: Any, shape: Shape) -> int:
    """How often the kernel of a layer is applied to one example."""
    if getattr(layer, "data_format", None) == "channels_first":
        return math.prod(shape[2:])
    return math.prod(shape[1:-1])


def _einsum(equation: str, inputs: Shape, kernel: Shape) -> int:
    """Return the product of all sizes that the equation names, but the batch."""
    left, right = equation.split("->", maxsplit=1)[0].split(",")
    sizes = {**dict(zip(left, inputs, strict=True)), **dict(zip(right, kernel, strict=True))}
    return math.prod(size for name, size in sizes.items() if name != left[0])
