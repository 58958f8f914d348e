"""Give a model the dropout rate that a plan asks for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras

from slipstream.errors import PlanError
from slipstream.rewrite.graph import Functional, producer

DROPOUT_LAYERS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def set_dropout(model: Any, rate: float, spared: Collection[Any] = ()) -> Any:
    """Set the rate of every Dropout layer; where there is none, put one before the outputs.

    Those that leave out all of an example at once are no Dropout in this sense: they are how
    models leave out residual branches.

    Args:
        model: A built Keras model.
        rate: Share of the units that are set to zero in training.
        spared: Layers that keep their rates.

    Returns:
        The model itself, or one of its layers and new ones.

    Raises:
        PlanError: The model has no Dropout layer and no graph to put one into.

    Source: Srivastava et al., 2014 (JMLR 15).
    """
    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, DROPOUT_LAYERS)
        and not leaves_out_examples(layer)
        and not any(layer is other for other in spared)
    ]
    for layer in found:
        set_rate(layer, rate)
    if found or rate == 0:
        return model
    return _insert_before_outputs(model, rate)


def set_rate(layer: Any, rate: float) -> None:
    """Set the rate of a Dropout layer."""
    layer.rate = rate
    if getattr(layer, "seed_generator", None) is None and rate > 0:
        # Keras gives a layer that was made with rate 0 no random source, and built layers are
        # locked against new ones.
        layer._tracker.unlock()
        layer.seed_generator = keras.random.SeedGenerator(layer.seed)
        layer._tracker.lock()


def leaves_out_examples(layer: Any) -> bool:
    """Whether a layer is a Dropout with one draw for all that an example has there."""
    lengths = getattr(layer, "noise_shape", None) or ()
    return isinstance(layer, keras.layers.Dropout) and set(lengths[1:]) == {1}


def _insert_before_outputs(model: Any, rate: float) -> Any:
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, Functional):
        raise PlanError(
            "a model with Dropout layers, or one built of connected layers",
            f"{type(model).__name__}, which is neither",
            "Set regularization.dropout = 'as_model', or add Dropout layers to the model.",
            code="SLP-708",
        )
    output_layers = {_last_with_weights(tensor) for tensor in model.outputs}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in output_layers and args and hasattr(args[0], "shape"):
            dropout = keras.layers.Dropout(rate, name=f"{layer.name}_dropout")
            args = (dropout(args[0]), *args[1:])
        return layer(*args, **kwargs)

    # Of the same layers, not of copies.
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _last_with_weights(tensor: Any) -> str:
    """Return the name of the layer that makes an output, past activations and reshapings."""
    node = last = producer(tensor)
    while not getattr(node.operation, "weights", None):
        if len(node.input_tensors) != 1:
            return str(last.operation.name)
        node = producer(node.input_tensors[0])
    return str(node.operation.name)
