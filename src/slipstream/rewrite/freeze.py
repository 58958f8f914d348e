"""Freeze and thaw parts of a model: its normalizations, or the base that a head stands on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import keras

from slipstream.errors import InputError
from slipstream.rewrite.graph import graph_behind, layers_before_outputs, nested_base, nodes_of


def freeze_batch_norms(layers: Any) -> int:
    """Freeze every BatchNormalization among layers, in place; returns how many there are.

    It normalizes by its moving averages from then on, also in training, and learns nothing.

    Source: the Keras guide to transfer learning, "the BatchNormalization layer".
    """
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.trainable = False
    return len(norms)


@dataclass
class Base:
    """The part of a model that was trained before, and what of it could be trained.

    Args:
        name: What it is, in words.
        layers: Its layers, outer ones before those within them.
        could_learn: Of each, whether it was trainable.
    """

    name: str
    layers: list[Any]
    could_learn: list[bool] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """How many parameters it has."""
        weights = {id(v): v for layer in self.layers for v in layer.weights}
        return sum(int(keras.ops.size(variable)) for variable in weights.values())

    def freeze(self) -> None:
        """Let none of it learn; its BatchNormalization layers normalize by their averages."""
        self.could_learn = [layer.trainable for layer in self.layers]
        for layer in self.layers:
            layer.trainable = False

    def thaw(self, *, norms: bool) -> int:
        """Let learn what could; returns how many BatchNormalization layers stay frozen.

        Args:
            norms: Whether they are thawed too.
        """
        for layer, could_learn in zip(self.layers, self.could_learn, strict=True):
            layer.trainable = could_learn
        return 0 if norms else freeze_batch_norms(self.layers)


def find_base(model: Any, pattern: str = "") -> Base:
    """Return the base of a model, which a head stands on.

    Args:
        model: A built Keras model.
        pattern: Regular expression found in the names of the base's layers. "" is the largest
            model within the model, or else all layers but those that make the outputs.

    Raises:
        InputError: There is none, it is all of the model, or none of it can learn.
    """
    name, layers = _named(model, pattern) if pattern else _largest(model)
    inner = {id(layer): layer for top in layers for layer in top._flatten_layers()}
    base = Base(name, list(inner.values()))
    learned = {id(v) for layer in base.layers for v in layer.trainable_variables}
    if not learned:
        raise InputError(
            "a base that can learn once it is no longer frozen",
            f"{name}, of which nothing is trainable",
            "Leave it trainable in the model: the plan freezes and thaws it.",
            code="SLP-709",
        )
    if all(id(variable) in learned for variable in model.trainable_variables):
        raise InputError(
            "a head beside the base, with weights of its own",
            f"{name}, which is all that learns in '{model.name}'",
            "Put a layer after the base, or name fewer layers.",
            code="SLP-710",
        )
    return base


def _named(model: Any, pattern: str) -> tuple[str, list[Any]]:
    layers = list(model._flatten_layers(include_self=False))
    try:
        found = [layer for layer in layers if re.search(pattern, layer.name)]
    except re.error as error:
        raise InputError(
            "a regular expression for the names of the base's layers",
            f"'{pattern}': {error}",
            "Escape its special characters with a backslash.",
            code="SLP-711",
        ) from None
    found = [layer for layer in found if layer.weights]
    if not found:
        names = [layer.name for layer in layers if layer.weights]
        raise InputError(
            "a pattern that is found in the name of a layer with weights",
            f"'{pattern}', and the names are {', '.join(names[:8])}"
            + (", ..." if len(names) > 8 else ""),
            "Name a part of one of these names.",
            code="SLP-712",
        )
    return f"{len(found)} layers named by '{pattern}'", found


def _largest(model: Any) -> tuple[str, list[Any]]:
    nested = nested_base(model)
    if nested is not None:
        return f"'{nested.name}'", [nested]
    heads = layers_before_outputs(model)
    layers = [node.operation for node in nodes_of(graph_behind(model))]
    found = [layer for layer in layers if hasattr(layer, "weights") and id(layer) not in heads]
    return "all layers but those that make the outputs", found
