"""Give a model the dropout rate that a plan asks for."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.errors import PlanError

DROPOUT_LAYERS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def set_dropout(model: Any, rate: float) -> Any:
    """Set the rate of every Dropout layer; where there is none, put one before the outputs.

    Args:
        model: A built Keras model.
        rate: Share of the units that are set to zero in training.

    Returns:
        The model itself, or a copy with the same weights and the new layers.

    Raises:
        PlanError: The model has no Dropout layer and no graph to put one into.

    Source: Srivastava et al., 2014 (JMLR 15).
    """
    found = [layer for layer in model._flatten_layers() if isinstance(layer, DROPOUT_LAYERS)]
    for layer in found:
        layer.rate = rate
        if getattr(layer, "seed_generator", None) is None and rate > 0:
            # Keras gives a layer that was made with rate 0 no random source, and built layers are
            # locked against new ones.
            layer._tracker.unlock()
            layer.seed_generator = keras.random.SeedGenerator(layer.seed)
            layer._tracker.lock()
    if found or rate == 0:
        return model
    return _insert_before_outputs(model, rate)


def _insert_before_outputs(model: Any, rate: float) -> Any:
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, keras.src.models.functional.Functional):
        raise PlanError(
            "a model with Dropout layers, or one built of connected layers",
            f"{type(model).__name__}, which is neither",
            "Set regularization.dropout = 'as_model', or add Dropout layers to the model.",
        )
    output_layers = {_last_with_weights(tensor) for tensor in model.outputs}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in output_layers and args and hasattr(args[0], "shape"):
            dropout = keras.layers.Dropout(rate, name=f"{layer.name}_dropout")
            args = (dropout(args[0]), *args[1:])
        return layer(*args, **kwargs)

    copy = keras.models.clone_model(model, call_function=call)
    copy.set_weights(model.get_weights())
    return copy


def _last_with_weights(tensor: Any) -> str:
    """Return the name of the layer that makes an output, past activations and reshapings."""
    last = operation = tensor._keras_history.operation
    while not getattr(operation, "weights", None):
        inputs = tensor._keras_history.operation._inbound_nodes[
            tensor._keras_history.node_index
        ].input_tensors
        if len(inputs) != 1:
            return str(last.name)
        tensor = inputs[0]
        operation = tensor._keras_history.operation
    return str(operation.name)
