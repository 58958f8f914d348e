"""Residual connections around the blocks of a model, and gates that begin closed."""

from __future__ import annotations

from typing import Any, Literal, final

import keras

from slipstream.errors import InputError
from slipstream.rewrite.blocks import blocks_of, runs_of
from slipstream.rewrite.graph import Edit, Names, Place, copy_model

Way = Literal["plain", "gated"]


def insert_residuals(model: Any, way: Way) -> tuple[Any, str]:
    """Return a copy with a way around every two blocks of equal shape, and what was done.

    plain: y = x + f(x);  gated: y = f(x) + gate * x, a gate for each channel that begins at 0

    A block is a layer with weights and the normalization, activation and dropout after it. A gated
    copy gives what the model gave until it is trained. Blocks that have a way around stay as they
    are.

    Args:
        model: A built Keras model with a graph of layers.
        way: How what goes around is added.

    Raises:
        InputError: The model has no graph, or no block whose output is shaped like its input.

    Source: He, Zhang, Ren and Sun, 2015, "Deep Residual Learning for Image Recognition"
    (arXiv:1512.03385); for gates Bachlechner et al., 2020, "ReZero is All You Need"
    (arXiv:2003.04887).
    """
    edit = _Around(way)
    copy = copy_model(model, edit)
    if not edit.num_ways:
        raise InputError(
            "a layer with weights whose output is shaped like its input, within the model",
            f"none in '{model.name}'",
            "Leave residual connections out, or give layers that follow each other equal widths.",
            code="SLP-720",
        )
    return copy, f"{way} connections around {edit.num_ways} blocks"


@final
class _Around(Edit):
    def __init__(self, way: Way) -> None:
        self._way = way
        # From the id of the tensor in which a stretch ends to the one in which it begins.
        self._starts: dict[int, Any] = {}
        self._closed: set[int] = set()
        self.num_ways = 0

    def study(self, graph: Any, is_whole: bool) -> None:
        chains = [block for block in blocks_of(graph, is_whole) if block.is_chain]
        for run in runs_of(chains):
            self._closed |= {id(node.operation) for block in run for node in block.nodes}
            for first in range(0, len(run), 2):
                pair = run[first : first + 2]
                self._starts[id(pair[-1].end)] = pair[0].start

    def goes_into(self, node: Any) -> bool:
        return id(node.operation) not in self._closed

    def after(self, node: Any, outputs: Any, at: Place) -> Any:
        start = self._starts.get(id(node.outputs[0]))
        if start is None:
            return outputs
        self.num_ways += 1
        name, around = node.operation.name, at.tensors[id(start)]
        if self._way == "gated":
            around = closed_gate(around, f"{name}_gate", at.names)
        return keras.layers.Add(name=at.names.new(f"{name}_sum"))([around, outputs])


def closed_gate(tensor: Any, name: str, names: Names) -> Any:
    """Return a tensor times a factor for each channel, 0 to begin with and learned."""
    letters = "abcdefg"[: len(tensor.shape)]
    first = keras.config.image_data_format() == "channels_first" and len(letters) > 3
    channel = letters[1 if first else -1]
    gate = keras.layers.EinsumDense(
        f"{letters},{channel}->{letters}",
        output_shape=tuple(tensor.shape[1:]),
        kernel_initializer="zeros",
        name=names.new(name),
    )
    return gate(tensor)
