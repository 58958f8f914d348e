"""The graph of a model that exists, laid anew around the same layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras

from slipstream.rewrite.graph import Functional, graph_behind, has_graph, nodes_of


class Step(NamedTuple):
    """One call in a graph.

    Args:
        key: The operation's id, and how often it was called before.
        node: Keras' node.
        graph: The functional model that it stands in.
    """

    key: tuple[int, int]
    node: Any
    graph: Any


def steps(model: Any) -> Iterator[Step]:
    """Yield the calls of a model's graph in the order in which Keras makes them.

    Those of functional models within it come where these are called first. Sequential models
    within it, and models of a class of the user's own, are single calls.
    """
    graph = graph_behind(model)
    counts: dict[int, int] = {}
    for node in nodes_of(graph):
        operation = node.operation
        count = counts.get(id(operation), 0)
        counts[id(operation)] = count + 1
        if count == 0 and type(operation) is Functional:
            yield from steps(operation)
        yield Step((id(operation), count), node, graph)


def rewired(model: Any, changes: Mapping[tuple[int, int], Callable[..., Any]]) -> Any:
    """Return a model in which some calls are made otherwise.

    Layers, variables and all that was set in them are the model's own, not copies.

    Args:
        model: A functional model, or a Sequential one, which becomes functional.
        changes: By the key of a call: takes the operation, its positional and its named arguments,
            and returns what stands for its outputs.
    """
    counts: dict[int, int] = {}

    def call_function(operation: Any, *args: Any, **kwargs: Any) -> Any:
        count = counts.get(id(operation), 0)
        counts[id(operation)] = count + 1
        change = changes.get((id(operation), count))
        return operation(*args, **kwargs) if change is None else change(operation, args, kwargs)

    graph = graph_behind(model)
    within = any(step.key in changes and step.graph is not graph for step in steps(model))
    if type(model) is keras.Sequential:
        # Not the lists of them: those would be asked for lists of inputs.
        model = keras.Model(graph.input, graph.output, name=model.name)
    return keras.models.clone_model(
        model,
        clone_function=lambda layer: layer,
        call_function=call_function,
        recursive=within,
    )


def can_be_rewired(model: Any) -> bool:
    """Whether a model has a graph, and a class that can be made anew from inputs and outputs."""
    constructor = keras.src.models.functional.functional_like_constructor
    is_made_so = type(model) is keras.Sequential or bool(constructor(type(model)))
    return has_graph(model) and is_made_so
