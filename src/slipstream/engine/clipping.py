"""Clipping as a plan says, put onto a Keras optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from slipstream.ops.clipping import ClipWatch
from slipstream.plan import Plan

# What Keras' optimizers do themselves, by the plan's key and their argument.
OF_KERAS = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}


def clipping_settings(plan: Plan) -> dict[str, float]:
    """Return the bounds that a Keras optimizer takes as arguments."""
    bounds = {OF_KERAS[key]: value for key, value in plan.clipping if key in OF_KERAS}
    return {argument: value for argument, value in bounds.items() if value > 0}


def watch_clipping(plan: Plan, model: Any, optimizer: Any) -> None:
    """Let an optimizer clip as the plan says where Keras cannot, and note what clipping does.

    Keras' own loop is there to be measured against: what Keras clips itself is not noted there.

    Args:
        plan: The plan.
        model: A built Keras model; its output layers are spared by the adaptive bound.
        optimizer: The optimizer, made with `clipping_settings`.
    """
    left_to_keras = OF_KERAS if plan.runtime.loop == "keras" else ()
    others = [key for key, _ in plan.clipping if key not in (*left_to_keras, "window")]
    if any(getattr(plan.clipping, key) > 0 for key in others):
        spared = [v for layer in _output_layers(model) for v in layer.trainable_variables]
        ClipWatch(optimizer, plan.clipping, spared)


def read_clipping(optimizer: Any) -> dict[str, float]:
    """Return gradient_norm and clipped_share since the last time; nothing where nothing clips."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    watch: ClipWatch | None = getattr(inner, "clip_watch", None)
    return {} if watch is None else watch.read()


def _output_layers(model: Any) -> Iterator[Any]:
    """Yield the last layer with weights before each output."""
    for tensor in getattr(model, "outputs", None) or []:
        operation = _last_with_weights(tensor)
        if isinstance(operation, keras.Model):
            yield from _output_layers(operation)
        elif isinstance(operation, keras.layers.Layer):
            yield operation


def _last_with_weights(tensor: Any) -> Any:
    """Return what makes a tensor; where that is an activation that stands alone, what feeds it."""
    operation = tensor._keras_history.operation
    while not getattr(operation, "trainable_variables", ()):
        before = operation.input
        if not isinstance(before, keras.KerasTensor) or before is tensor:
            break
        tensor, operation = before, before._keras_history.operation
    return operation
