"""The branches of residual blocks: found, and let begin with nothing (zero-gamma)."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.errors import InputError
from slipstream.rewrite.blocks import SUMS
from slipstream.rewrite.dropout import DROPOUT_LAYERS
from slipstream.rewrite.graph import graphs_within, learns, nodes_of, producer

# What may stand in a shortcut to change its shape.
PROJECTIONS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)


def zero_branches(model: Any) -> str:
    """Let every residual branch of a model begin with nothing, in place; returns what was done.

    y = x + f(x)  begins as  y = x:  gamma = 0 in the BatchNormalization that ends f; where a Dense
    layer or a convolution without activation ends it, its kernel

    Args:
        model: A built Keras model with a graph of layers. Its weights are changed.

    Raises:
        InputError: The model has no graph, or no residual branch that ends in such a layer.

    Source: Goyal et al., 2017, "Accurate, Large Minibatch SGD" (arXiv:1706.02677); for kernels
    Zhang, Dauphin and Ma, 2019, "Fixup Initialization" (arXiv:1901.09321).
    """
    ends: dict[int, Any] = {}
    for graph in graphs_within(model):
        ends |= {id(end): end for end in _branch_ends(graph)}
    if not ends:
        raise InputError(
            "a residual branch that ends in BatchNormalization, Dense or a convolution",
            f"none in '{model.name}'",
            "Leave zero-gamma out, or add residual connections to the model.",
            code="SLP-705",
        )
    for layer in ends.values():
        zero(layer)
    norms = sum(isinstance(end, keras.layers.BatchNormalization) for end in ends.values())
    others = len(ends) - norms
    words = [f"gamma = 0 in {norms} BatchNormalization layers"] if norms else []
    words += [f"kernel = 0 in {others} layers"] if others else []
    return ", ".join(words)


def zero(layer: Any) -> None:
    """Let a layer that `end_of_branch` found give nothing."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    names = ("gamma",) if is_norm else ("kernel", "pointwise_kernel")
    for variable in layer.weights:
        if variable.name in names:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))


def end_of_branch(tensor: Any, makers: dict[int, Any]) -> Any | None:
    """Return the layer that scales a tensor last, past dropouts; None where that cannot be told."""
    node = makers.get(id(tensor))
    while node is not None and isinstance(node.operation, DROPOUT_LAYERS):
        node = makers.get(id(node.input_tensors[0]))
    layer = node.operation if node is not None else None
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer if layer.scale else None
    named = {variable.name for variable in getattr(layer, "weights", ())}
    activation = getattr(layer, "activation", None)
    is_linear = activation is keras.activations.linear
    is_layer = isinstance(layer, keras.layers.Dense) or hasattr(layer, "kernel_size")
    return layer if is_layer and is_linear and named & {"kernel", "pointwise_kernel"} else None


def makers_of(nodes: Any) -> dict[int, Any]:
    """Return the node that makes each tensor, by the tensor's id."""
    return {id(tensor): node for node in nodes for tensor in node.outputs}


def branch_place(node: Any) -> int | None:
    """Return which of its two inputs a call adds to a shortcut; None where it adds none.

    A branch is one of two tensors of equal shape that are added, by a layer or a plus sign, and
    that both come from one tensor: the shortcut through what does not learn and one projection at
    most, the branch through more layers that learn.

    Args:
        node: A node of a graph.
    """
    tensors = node.input_tensors
    adds = isinstance(node.operation, SUMS)
    if not adds or len(tensors) != 2 or tuple(tensors[0].shape) != tuple(tensors[1].shape):
        return None
    above = [makers_above(tensor) for tensor in tensors]
    shared = above[0].keys() & above[1].keys()
    # From what both share to each of the two.
    ways = [
        {id(maker): maker for key, maker in makers.items() if key not in shared}.values()
        for makers in above
    ]
    layers = [[maker for maker in way if learns(maker)] for way in ways]
    if not shared or len(layers[0]) == len(layers[1]):
        return None
    branch = int(len(layers[1]) > len(layers[0]))
    shortcut = layers[1 - branch]
    is_plain = len(shortcut) <= 1 and all(isinstance(layer, PROJECTIONS) for layer in shortcut)
    return branch if is_plain else None


def makers_above(tensor: Any) -> dict[int, Any]:
    """Return what makes a tensor and those that it is computed from, by the tensors' ids."""
    found: dict[int, Any] = {}
    waiting = [tensor]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            node = producer(one)
            found[id(one)] = node.operation
            waiting += node.input_tensors
    return found


def _branch_ends(graph: Any) -> list[Any]:
    nodes = nodes_of(graph)
    makers = makers_of(nodes)
    places = [(node, branch_place(node)) for node in nodes]
    ends = [
        end_of_branch(node.input_tensors[place], makers)
        for node, place in places
        if place is not None
    ]
    return [end for end in ends if end is not None]
