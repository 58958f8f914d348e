"""The blocks of a model: stretches of its graph with one tensor in and one out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import keras

from slipstream.rewrite.graph import NORMALIZATIONS, learns, nodes_of

# What belongs to the layer before it.
COMPANIONS = (
    *NORMALIZATIONS,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
SUMS = (keras.layers.Add, keras.src.ops.numpy.Add)


class Segment(NamedTuple):
    """The nodes between two tensors through which everything goes, with none such between."""

    nodes: tuple[Any, ...]
    start: Any
    end: Any


class Block(NamedTuple):
    """A segment that learns, and the normalizations, activations and dropouts after it."""

    segments: tuple[Segment, ...]

    @property
    def start(self) -> Any:
        """The tensor that goes in."""
        return self.segments[0].start

    @property
    def end(self) -> Any:
        """The tensor that comes out."""
        return self.segments[-1].end

    @property
    def nodes(self) -> tuple[Any, ...]:
        """All its nodes, in order."""
        return tuple(node for segment in self.segments for node in segment.nodes)

    @property
    def is_chain(self) -> bool:
        """Whether it is one layer after the other, without a way around."""
        return all(len(segment.nodes) == 1 for segment in self.segments)


def segments_of(graph: Any) -> list[Segment]:
    """Return the segments of a graph, in order."""
    nodes = nodes_of(graph)
    left = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    left.update(id(tensor) for tensor in graph.outputs)
    waiting = {id(tensor): tensor for tensor in graph.inputs if left[id(tensor)]}
    cuts = [(0, tensor) for tensor in waiting.values()] if len(waiting) == 1 else []
    for place, node in enumerate(nodes, start=1):
        for tensor in node.input_tensors:
            left[id(tensor)] -= 1
            if not left[id(tensor)]:
                waiting.pop(id(tensor), None)
        waiting |= {id(tensor): tensor for tensor in node.outputs if left[id(tensor)]}
        if len(waiting) == 1:
            cuts.append((place, next(iter(waiting.values()))))
    return [
        Segment(tuple(nodes[first:last]), start, end)
        for (first, start), (last, end) in pairwise(cuts)
    ]


def blocks_of(graph: Any, is_whole: bool) -> list[Block]:
    """Return the blocks whose output is shaped like their input, in order.

    What makes an output of the whole model is none of them.
    """
    grouped: list[list[Segment]] = []
    begun = False
    for segment in segments_of(graph):
        if any(learns(node.operation) for node in segment.nodes):
            grouped.append([segment])
            begun = True
        elif begun and _is_companion(segment):
            grouped[-1].append(segment)
        else:
            begun = False
    outputs = {id(tensor) for tensor in graph.outputs} if is_whole else set()
    blocks = [Block(tuple(group)) for group in grouped]
    return [block for block in blocks if id(block.end) not in outputs and _keeps_shape(block)]


def runs_of(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return blocks in runs: each begins with what the one before it gives."""
    runs: list[list[Block]] = []
    for block in blocks:
        if runs and runs[-1][-1].end is block.start:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _is_companion(segment: Segment) -> bool:
    alone = len(segment.nodes) == 1 and isinstance(segment.nodes[0].operation, COMPANIONS)
    return alone and segment.start.shape == segment.end.shape


def _keeps_shape(block: Block) -> bool:
    floats = all("float" in str(tensor.dtype) for tensor in (block.start, block.end))
    shape = tuple(block.start.shape[1:])
    return floats and len(shape) > 0 and shape == tuple(block.end.shape[1:])
