"""Give a model's normalization layers the averaging window that a plan asks for."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.errors import PlanError


def set_batch_norm_momentum(model: Any, momentum: float) -> int:
    """Set the momentum of every BatchNormalization layer; returns how many there are.

    average = momentum * average + (1 - momentum) * statistic of the batch

    Args:
        model: A built Keras model.
        momentum: Share of the moving averages that is kept at each update.

    Raises:
        PlanError: There is none.

    Source: Ioffe and Szegedy, 2015, "Batch Normalization" (arXiv:1502.03167).
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        raise PlanError(
            f"a model with BatchNormalization, for architecture.batch_norm_momentum = {momentum}",
            f"none in '{model.name}'",
            "Set architecture.batch_norm_momentum = 'as_model'.",
            code="SLP-153",
        )
    for layer in layers:
        layer.momentum = momentum
    return len(layers)
