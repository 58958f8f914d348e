"""Copying a model's graph node by node, with its weights, and with changes on the way."""

from __future__ import annotations

import inspect
from abc import ABC
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, final

import keras

from slipstream.errors import InputError

Functional = keras.src.models.functional.Functional

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
)


def graph_behind(model: Any) -> Any:
    """Return the functional model behind a functional or Sequential model.

    Raises:
        InputError: The model has no graph, or a call of its own.
    """
    functional = model
    if isinstance(model, keras.Sequential):
        functional = getattr(model, "_functional", None)
        if type(model).call is not keras.Sequential.call:
            functional = None
    if not isinstance(functional, Functional) or type(functional).call is not Functional.call:
        raise InputError(
            "a model built of connected layers: Sequential, or keras.Model(inputs, outputs)",
            f"{type(model).__name__}, whose layers are connected by code of its own",
            "Leave the rewrite out, or build the model of connected layers.",
            code="SLP-713",
        )
    return functional


def has_graph(layer: Any) -> bool:
    """Whether a layer is a model with a graph of its own."""
    if not isinstance(layer, keras.Model):
        return False
    try:
        graph_behind(layer)
    except InputError:
        return False
    return True


def nodes_of(graph: Any) -> list[Any]:
    """Return the nodes of a graph that its inputs suffice for, in the order in which Keras runs."""
    known = {id(tensor) for tensor in graph.inputs}
    nodes = []
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input or not node.operation:
                continue
            if all(id(tensor) in known for tensor in node.input_tensors):
                known |= {id(tensor) for tensor in node.outputs}
                nodes.append(node)
    return nodes


def producer(tensor: Any) -> Any:
    """Return the node that makes a tensor of a graph."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def graphs_within(model: Any) -> Iterator[Any]:
    """Yield the graph of a model, and of every model within it, each once."""
    waiting, seen = [graph_behind(model)], set()
    while waiting:
        graph = waiting.pop(0)
        if id(graph) in seen:
            continue
        seen.add(id(graph))
        yield graph
        nested = [node.operation for node in nodes_of(graph) if has_graph(node.operation)]
        waiting += [graph_behind(model) for model in nested]


def nested_base(model: Any) -> Any | None:
    """Return the largest model within a model, by its parameters; None where there is none."""
    nested = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.Model) and layer is not getattr(model, "_functional", None)
    ]
    return max(nested, key=lambda layer: layer.count_params(), default=None)


def learns(operation: Any) -> bool:
    """Whether an operation is a layer with weights that is no normalization."""
    companions = (*NORMALIZATIONS, keras.layers.PReLU, keras.layers.Normalization)
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, companions)


def layers_before_outputs(model: Any) -> set[int]:
    """Return the ids of the layers that learn and that outputs hang on without another between."""
    graph = graph_behind(model)
    makers = {id(tensor): node for node in nodes_of(graph) for tensor in node.outputs}
    found: set[int] = set()
    waiting, seen = list(graph.outputs), set()
    while waiting:
        tensor = waiting.pop()
        node = makers.get(id(tensor))
        if node is None or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if not learns(node.operation):
            waiting += node.input_tensors
            continue
        found.add(id(node.operation))
        if has_graph(node.operation):
            found |= layers_before_outputs(node.operation)
    return found


class Edit(ABC):  # noqa: B024
    """What is different in the copy of a model: nothing, but for what is overridden."""

    def study(self, graph: Any, is_whole: bool) -> None:  # noqa: B027
        """Look at a graph before it is copied; `is_whole` tells the model's from one within."""

    def goes_into(self, node: Any) -> bool:
        """Whether the model that a node calls is changed too, and not only copied."""
        del node
        return True

    def replaced(self, layer: Any, args: Any) -> Any | None:
        """Return what stands in the place of a layer that is called with these tensors."""
        del layer, args
        return None

    def call(self, node: Any, layer: Any, args: Any, kwargs: Any, names: Names) -> Any:
        """Call what stands in the place of a node's layer, or more than that."""
        del node, names
        return layer(*args, **kwargs)

    def after(self, node: Any, outputs: Any, at: Place) -> Any:
        """Return what the nodes after this one get in the place of its outputs."""
        del node, at
        return outputs


@final
class Unchanged(Edit):
    """No change."""


@final
class Names:
    """Names of layers that a model has, and new ones."""

    def __init__(self, model: Any) -> None:
        self._taken = {layer.name for layer in model._flatten_layers()}

    def new(self, name: str) -> str:
        """Return the name, with a number where it is taken, and take it."""
        number, free = 1, name
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


class Place(NamedTuple):
    """Where a copy stands: the new tensor of each old one, by id, and names for new layers."""

    tensors: dict[int, Any]
    names: Names


def copy_model(model: Any, edit: Edit) -> Any:
    """Return a copy of a model with its weights, changed as an edit says.

    Weights are kept where their shapes are the same. The model itself stays as it is.

    Raises:
        InputError: The model has no graph, or a layer of it cannot be copied.
    """
    return _Copier(model, edit).copy()


@final
class _Copier:
    def __init__(self, model: Any, edit: Edit) -> None:
        self._model = model
        self._edit = edit
        self._names = Names(model)
        self._copies: dict[int, Any] = {}

    def copy(self) -> Any:
        model = self._copied_graph(self._model, self._edit, None)
        _keep_trainable(self._model, model, self._copies)
        return model

    def _copied_graph(self, model: Any, edit: Edit, arguments: Sequence[Any] | None) -> Any:
        graph = graph_behind(model)
        edit.study(graph, model is self._model)
        arguments = arguments or graph.inputs
        inputs = keras.tree.pack_sequence_as(
            graph._inputs_struct,
            [_input(old, new, graph) for old, new in zip(graph.inputs, arguments, strict=True)],
        )
        tensors = dict(zip(map(id, graph.inputs), keras.tree.flatten(inputs), strict=True))
        at = Place(tensors, self._names)
        for node in nodes_of(graph):
            outputs = edit.after(node, self._called(node, edit, at), at)
            for old, new in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
                tensors[id(old)] = new
        outputs = keras.tree.pack_sequence_as(
            graph._outputs_struct, [tensors[id(tensor)] for tensor in graph.outputs]
        )
        return _class_of(model)(inputs, outputs, name=model.name)

    def _called(self, node: Any, edit: Edit, at: Place) -> Any:
        args, kwargs = node.arguments.fill_in(at.tensors)
        old = node.operation
        try:
            new = self._copied(node, edit, args, kwargs)
            outputs = edit.call(node, new, args, kwargs, self._names)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                "a model whose layers can be rebuilt around the change",
                f"'{old.name}' ({type(old).__name__}): {_first_line(error)}",
                "Leave the rewrite out, or give that layer a get_config that rebuilds it.",
                code="SLP-714",
            ) from error
        carry_weights(old, new)
        return outputs

    def _copied(self, node: Any, edit: Edit, args: Any, kwargs: Any) -> Any:
        old = node.operation
        if id(old) not in self._copies:
            new = edit.replaced(old, args)
            if new is None and has_graph(old):
                within = edit if edit.goes_into(node) else Unchanged()
                tensors = [
                    tensor
                    for tensor in keras.tree.flatten([args, kwargs])
                    if isinstance(tensor, keras.KerasTensor)
                ]
                new = self._copied_graph(old, within, tensors[: len(graph_behind(old).inputs)])
            self._copies[id(old)] = new if new is not None else _made_anew(old)
        return self._copies[id(old)]


def _made_anew(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _input(old: Any, new: Any, graph: Any) -> Any:
    """Return an input like an old one, in the shape of what it will be called with."""
    shape = [size if wanted is not None else None for wanted, size in zip(
        old.shape, new.shape, strict=True)]  # fmt: skip
    if not any(getattr(layer, "stateful", False) for layer in graph._flatten_layers()):
        # A Sequential model that was built by a first call has taken over that call's batch.
        shape[0] = None
    name = old._keras_history.operation.name
    return keras.Input(batch_shape=tuple(shape), dtype=old.dtype, name=name)


def _class_of(model: Any) -> type:
    """Return the class of a copy: the model's own where it is made of inputs and outputs."""
    own = type(model)
    if own in (keras.Model, keras.Sequential, Functional):
        return keras.Model  # type: ignore[no-any-return]
    wanted = ["inputs", "outputs", "name"]
    settings = inspect.getfullargspec(own.__init__)
    if settings.args[1:] == wanted or (settings.varargs and settings.varkw):
        return own
    raise InputError(
        "a model whose class is made of inputs and outputs",
        f"{own.__name__}, whose constructor takes something else",
        "Leave the rewrite out, or let the class take (inputs, outputs, name).",
        code="SLP-715",
    )


def carry_weights(old: Any, new: Any) -> int:
    """Give a layer the weights of another where they have the same shape; returns how many.

    All of them by their order where all shapes agree, else one by one by name.
    """
    mine, theirs = list(getattr(new, "variables", ())), list(getattr(old, "variables", ()))
    if has_graph(old) or has_graph(new):
        return 0
    pairs = list(zip(mine, theirs, strict=False))
    if len(mine) != len(theirs) or any(m.shape != t.shape for m, t in pairs):
        counts = Counter(variable.name for variable in theirs)
        by_name = {v.name: v for v in theirs if counts[v.name] == 1}
        pairs = [(m, by_name[m.name]) for m in mine if m.name in by_name]
        pairs = [(m, t) for m, t in pairs if m.shape == t.shape]
    for variable, value in pairs:
        variable.assign(value.value)
    return len(pairs)


def _keep_trainable(model: Any, copy: Any, copies: dict[int, Any]) -> None:
    """Freeze in the copy what is frozen in the model, models within it included."""
    if not model.trainable:
        copy.trainable = False
    for layer in model._flatten_layers(include_self=False):
        if id(layer) in copies and copies[id(layer)].trainable != layer.trainable:
            # From the outermost inwards: each sets all within it.
            copies[id(layer)].trainable = layer.trainable


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def consumers_of(nodes: Sequence[Any]) -> dict[int, list[Any]]:
    """Return for each tensor, by id, the operations that take it."""
    found: dict[int, list[Any]] = {}
    for node in nodes:
        for tensor in node.input_tensors:
            found.setdefault(id(tensor), []).append(node.operation)
    return found
