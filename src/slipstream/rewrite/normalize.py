"""Insert BatchNormalization between the linear part of layers and their activation."""

from __future__ import annotations

import math
from typing import Any, final

import keras

from slipstream.errors import InputError
from slipstream.rewrite.graph import (
    NORMALIZATIONS,
    Edit,
    Names,
    consumers_of,
    copy_model,
    layers_before_outputs,
    nodes_of,
)

LINEAR = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
# What weighs other units is to stay between 0 and 1, not to be spread out.
GATES = ("sigmoid", "hard_sigmoid", "softmax")


def insert_batch_norm(model: Any) -> tuple[Any, str]:
    """Return a copy with BatchNormalization after each Dense and convolution, and what was done.

    activation(W x + b)  becomes  activation(BatchNormalization(W x)), with beta = b

    Evaluated, the copy gives what the model gave until it is trained: gamma begins at
    sqrt(1 + epsilon). Left alone are the layers that make the outputs, those that a normalization
    follows, gates, and convolutions of a single position.

    Args:
        model: A built Keras model with a graph of layers.

    Raises:
        InputError: The model has no graph, or no layer to put one after.

    Source: Ioffe and Szegedy, 2015, "Batch Normalization" (arXiv:1502.03167).
    """
    edit = _Insert(model)
    copy = copy_model(model, edit)
    if not edit.norms:
        raise InputError(
            "a Dense or convolutional layer that no normalization follows yet",
            f"none in '{model.name}' beside those that make its outputs",
            "Leave BatchNormalization out: the model has it, or has no place for it.",
            code="SLP-719",
        )
    for layer, norm in edit.norms.values():
        norm.gamma.assign(keras.ops.full(norm.gamma.shape, math.sqrt(1.0 + norm.epsilon)))
        if layer.use_bias:
            norm.beta.assign(layer.bias.value)
    return copy, f"BatchNormalization after {len(edit.norms)} layers"


@final
class _Insert(Edit):
    def __init__(self, model: Any) -> None:
        self._spared = layers_before_outputs(model)
        self._chosen: set[int] = set()
        # By the layer's id: the layer, and what normalizes it.
        self.norms: dict[int, tuple[Any, Any]] = {}

    def study(self, graph: Any, is_whole: bool) -> None:
        del is_whole
        nodes = nodes_of(graph)
        consumers = consumers_of(nodes)
        for node in nodes:
            layer = node.operation
            after = consumers.get(id(node.outputs[0]), [])
            if type(layer) in LINEAR and id(layer) not in self._spared:
                kept = _is_gate(layer) or any(map(_is_gate, after)) or _is_one_position(node)
                normalized = any(isinstance(other, NORMALIZATIONS) for other in after)
                if not (kept or normalized):
                    self._chosen.add(id(layer))

    def replaced(self, layer: Any, args: Any) -> Any | None:
        del args
        if id(layer) not in self._chosen:
            return None
        config = layer.get_config() | {"use_bias": False, "activation": "linear"}
        return type(layer).from_config(config)

    def call(self, node: Any, layer: Any, args: Any, kwargs: Any, names: Names) -> Any:
        old = node.operation
        outputs = layer(*args, **kwargs)
        if id(old) not in self._chosen:
            return outputs
        if id(old) not in self.norms:
            norm = keras.layers.BatchNormalization(
                axis=_channel_axis(old),
                name=names.new(f"{old.name}_norm"),
                dtype=old.dtype_policy,
                trainable=old.trainable,
            )
            self.norms[id(old)] = (old, norm)
        outputs = self.norms[id(old)][1](outputs)
        if keras.activations.serialize(old.activation) == "linear":
            return outputs
        return keras.layers.Activation(
            keras.activations.get(old.get_config()["activation"]),
            name=names.new(f"{old.name}_activation"),
            dtype=old.dtype_policy,
        )(outputs)


def _channel_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _is_gate(operation: Any) -> bool:
    activation = getattr(operation, "activation", None)
    return activation is not None and getattr(activation, "__name__", "") in GATES


def _is_one_position(node: Any) -> bool:
    """Whether a convolution sees one position alone: the squeezed part of squeeze-and-excite."""
    layer, shape = node.operation, node.outputs[0].shape
    if not hasattr(layer, "kernel_size"):
        return False
    positions = shape[2:] if _channel_axis(layer) == 1 else shape[1:-1]
    return all(size == 1 for size in positions)
