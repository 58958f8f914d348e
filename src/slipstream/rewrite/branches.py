"""The branches of residual blocks, and letting them begin with nothing (zero-gamma)."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.errors import InputError
from slipstream.rewrite.blocks import SUMS
from slipstream.rewrite.graph import graphs_within, learns, nodes_of

DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
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
    while node is not None and isinstance(node.operation, DROPOUTS):
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


def _branch_ends(graph: Any) -> list[Any]:
    nodes = nodes_of(graph)
    makers = makers_of(nodes)
    before: dict[int, frozenset[int]] = {}
    for node in nodes:
        mine = frozenset({id(node)}).union(*(before.get(id(t), ()) for t in node.input_tensors))
        before |= dict.fromkeys(map(id, node.outputs), mine)
    learning = {id(node) for node in nodes if learns(node.operation)}
    ends = []
    for node in nodes:
        if not isinstance(node.operation, SUMS) or len(node.input_tensors) != 2:
            continue
        one, other = node.input_tensors
        ones, others = before.get(id(one), frozenset()), before.get(id(other), frozenset())
        num_one, num_other = len((ones - others) & learning), len((others - ones) & learning)
        # The longer one is the branch; what goes around it learns at most a projection.
        if num_one == num_other or min(num_one, num_other) > 1:
            continue
        end = end_of_branch(one if num_one > num_other else other, makers)
        if end is not None:
            ends.append(end)
    return ends
