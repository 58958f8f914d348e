"""Scale the widths of a model's layers, where nothing else depends on them."""

from __future__ import annotations

from typing import Any, final

import keras

from slipstream.errors import InputError
from slipstream.rewrite.blocks import COMPANIONS
from slipstream.rewrite.graph import Edit, copy_model, graph_behind, has_graph, nodes_of

# Layers that have a width of their own, and its name in their settings.
WIDTHS = {
    **dict.fromkeys(
        (keras.layers.Dense, keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN), "units"
    ),
    **dict.fromkeys(
        (
            keras.layers.Conv1D,
            keras.layers.Conv2D,
            keras.layers.Conv3D,
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
            keras.layers.SeparableConv1D,
            keras.layers.SeparableConv2D,
        ),
        "filters",
    ),
}
_IN_SPACE = (
    *("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"),
    *("ZeroPadding", "Cropping", "UpSampling"),
)
# What they give is as wide as what they take.
PASSING = (
    *(getattr(keras.layers, f"{name}{size}D") for name in _IN_SPACE for size in (1, 2, 3)),
    *(*COMPANIONS, keras.layers.Masking, keras.layers.RepeatVector, keras.layers.Rescaling),
)
MERGES = (
    keras.layers.Add,
    keras.layers.Subtract,
    keras.layers.Multiply,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.src.ops.numpy.Add,
    keras.src.ops.numpy.Subtract,
    keras.src.ops.numpy.Multiply,
)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
# They take inputs of any width, and what they give has one that their settings say.
TAKING_ANY = (keras.layers.Bidirectional, keras.layers.TimeDistributed, keras.layers.Embedding)


def scale_width(model: Any, factor: float) -> tuple[Any, str]:
    """Return a copy with wider or narrower layers, and what was done.

    units or filters become max(1, round(width * factor)).

    Scaled are dense, convolutional and recurrent layers, but for those whose width is held by
    something else: the model's outputs, a sum with an input, a layer that Keras does not know.
    Weights are kept where their shapes stay the same.

    Args:
        model: A built Keras model with a graph of layers.
        factor: How many times as wide.

    Raises:
        InputError: The model has no graph, no layer whose width may change, or none that does.

    Source: Zagoruyko and Komodakis, 2016, "Wide Residual Networks" (arXiv:1605.07146).
    """
    ties = _Ties()
    ties.look_at(graph_behind(model))
    ties.hold(*graph_behind(model).inputs, *graph_behind(model).outputs)
    edit = _ScaleWidth(factor, ties.free())
    copy = copy_model(model, edit)
    if not edit.changed:
        raise InputError(
            "a layer whose width nothing else holds, and that the factor changes",
            f"none in '{model.name}' with the factor {factor:g}",
            "Leave its widths as they are, or set a factor further from 1.",
            code="SLP-722",
        )
    return copy, f"{len(edit.changed)} layers {factor:g} times as wide"


@final
class _ScaleWidth(Edit):
    def __init__(self, factor: float, free: set[int]) -> None:
        self._factor = factor
        self._free = free
        self.changed: set[int] = set()

    def replaced(self, layer: Any, args: Any) -> Any | None:
        config = None
        if type(layer) in WIDTHS and id(layer) in self._free:
            key = WIDTHS[type(layer)]
            width = int(getattr(layer, key))
            config = layer.get_config() | {key: max(1, round(width * self._factor))}
            if config[key] != width:
                self.changed.add(id(layer))
        elif isinstance(layer, keras.layers.Reshape) and id(layer) in self._free:
            config = layer.get_config()
            config["target_shape"] = (*layer.target_shape[:-1], args[0].shape[-1])
        return None if config is None else type(layer).from_config(config)


@final
class _Ties:
    """Which widths are one and the same, and which of them something holds."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._held: set[int] = set()
        self._layers: dict[int, Any] = {}
        # Tensors whose width follows from others' in another way than being the same.
        self._derived: list[tuple[Any, list[Any]]] = []
        # Tensors have no other owner for as long as this looks at them.
        self._kept: list[Any] = []

    def hold(self, *things: Any) -> None:
        """Hold the widths of tensors or layers."""
        self._held |= {self._root(thing) for thing in things}

    def free(self) -> set[int]:
        """Return the ids of the layers whose width nothing holds."""
        self._held = {self._find(key) for key in self._held}
        num_held = -1
        while num_held != len(self._held):
            num_held = len(self._held)
            for tensor, sources in self._derived:
                # Tied to another's width as well, or held: then its sources must not change.
                if self._root(tensor) in self._held or self._is_tied(tensor):
                    self.hold(tensor, *sources)
        return {key for key, layer in self._layers.items() if self._root(layer) not in self._held}

    def look_at(self, graph: Any) -> None:
        """Take note of what a graph ties, and those within it."""
        for node in nodes_of(graph):
            self._look_at_node(node.operation, node.input_tensors, node.outputs)

    def _look_at_node(self, layer: Any, ins: list[Any], outs: list[Any]) -> None:
        if has_graph(layer):
            self._look_into(graph_behind(layer), ins, outs)
        elif type(layer) in WIDTHS:
            self._own(layer, *outs, *ins[1:])
            if getattr(layer, "groups", 1) > 1:
                self.hold(layer, ins[0])
        elif _gives_width_of_first(layer, ins[0]):
            self._tie(ins[0], outs[0])
            if isinstance(layer, keras.layers.Reshape):
                self._own(layer, outs[0])
        elif isinstance(layer, MERGES) or _joins(layer, outs[0]) == "elsewhere":
            width = outs[0].shape[-1]
            for tensor in ins:
                if tensor.shape and tensor.shape[-1] == width:
                    self._tie(tensor, outs[0])
        elif _follows(layer, outs[0]):
            self._derived.append((outs[0], ins))
        else:
            takes_any = isinstance(layer, (*TAKING_ANY, keras.layers.MultiHeadAttention))
            self.hold(*outs, *(() if takes_any else ins))

    def _look_into(self, graph: Any, ins: list[Any], outs: list[Any]) -> None:
        for tensors, others in ((ins, graph.inputs), (outs, graph.outputs)):
            for one, other in zip(tensors, others, strict=False):
                self._tie(one, other)
        self.look_at(graph)

    def _own(self, layer: Any, *tensors: Any) -> None:
        self._layers[id(layer)] = layer
        for tensor in tensors:
            self._tie(layer, tensor)

    def _tie(self, one: Any, other: Any) -> None:
        self._parents[self._root(one)] = self._root(other)

    def _is_tied(self, tensor: Any) -> bool:
        """Whether a width that follows from others' is that of a layer, or follows twice."""
        root = self._root(tensor)
        owners = [layer for layer in self._layers.values() if self._root(layer) == root]
        derived = [one for one, _ in self._derived if self._root(one) == root]
        return bool(owners) or len(derived) > 1

    def _root(self, thing: Any) -> int:
        if id(thing) not in self._parents:
            self._parents[id(thing)] = id(thing)
            self._kept.append(thing)
        return self._find(id(thing))

    def _find(self, key: int) -> int:
        while self._parents[key] != key:
            key = self._parents[key]
        return key


def _gives_width_of_first(layer: Any, first: Any) -> bool:
    """Whether what a layer gives is as wide as the first that it takes, however wide that is."""
    if isinstance(layer, keras.layers.GroupNormalization):
        return False
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return layer._output_shape is None
    if isinstance(layer, DEPTHWISE):
        return bool(layer.depth_multiplier == 1)
    if isinstance(layer, keras.layers.Reshape):
        return bool(layer.target_shape[-1] == first.shape[-1])
    return isinstance(layer, PASSING)


def _follows(layer: Any, output: Any) -> bool:
    """Whether the width that a layer gives follows from those that it takes."""
    return isinstance(layer, (keras.layers.Flatten, *DEPTHWISE)) or _joins(layer, output) == "here"


def _joins(layer: Any, output: Any) -> str:
    """Return whether a layer puts its inputs side by side by channel, or elsewhere; "" if not."""
    if not isinstance(layer, keras.layers.Concatenate):
        return ""
    rank = len(output.shape)
    first = keras.config.image_data_format() == "channels_first" and rank > 3
    return "here" if layer.axis % rank == (1 if first else rank - 1) else "elsewhere"
