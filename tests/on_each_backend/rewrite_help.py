"""Models that the tests of rewrites share, and what they look at."""

import keras
import numpy as np
import pytest
from engine_help import NUM_CLASSES, NUM_FEATURES, numbers

from slipstream.rewrite.graph import graph_behind

layers = keras.layers
# Graphs are copied and changed in the same way whatever runs them: one backend is enough.
once = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="the same on every backend: run with PyTorch"
)


def dense():
    """Return a net with three hidden layers of one width."""
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            *(layers.Dense(8, activation="relu", name=f"hidden_{i}") for i in range(3)),
            layers.Dense(NUM_CLASSES, name="logits"),
        ]
    )


def convolutional():
    """Return a net with a residual block between two convolutions."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, name="branch_1")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm_1")(y))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, name="branch_2")(y)
    y = layers.BatchNormalization(name="norm_2")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="convolutional")


def nested():
    """Return a net whose encoder is a Sequential model of its own, called twice."""
    encoder = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, activation="tanh"), layers.Dense(8, activation="relu")],
        name="encoder",
    )
    one, other = keras.Input((8,), name="one"), keras.Input((8,), name="other")
    x = layers.Concatenate()([encoder(one), encoder(other)])
    outputs = {"sum": layers.Dense(2, name="sum")(x), "gate": layers.Dense(1, name="gate")(x)}
    return keras.Model({"one": one, "other": other}, outputs, name="nested")


def recurrent():
    """Return a net of recurrent layers."""
    return keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.LSTM(5, return_sequences=True),
            layers.LSTM(5, return_sequences=True),
            layers.GRU(5),
            layers.Dense(2),
        ]
    )


def transformer():
    """Return a net of one attention block, added by plus signs."""
    inputs = keras.Input((6, 4))
    x = layers.Dense(8)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    y = layers.Dense(8, name="down")(layers.Dense(16, activation="gelu", name="up")(x))
    x = layers.LayerNormalization()(x + y)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


class Subclassed(keras.Model):
    """A model whose layers are connected by code."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        """Call the layer."""
        return self.dense(x)


def inputs_for(model, num=7):
    """Return numbers as a model takes them."""
    return keras.tree.map_structure(
        lambda tensor: numbers(num, *tensor.shape[1:]), graph_behind(model)._inputs_struct
    )


def outputs_of(model, x):
    """Return what a model gives in inference, as one array per output."""
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def assert_same_outputs(model, other, x, **tolerances):
    """Compare what two models give."""
    for mine, theirs in zip(outputs_of(model, x), outputs_of(other, x), strict=True):
        np.testing.assert_allclose(mine, theirs, **{"rtol": 1e-5, "atol": 1e-6, **tolerances})


def with_numbers(model):
    """Give every weight of a model random numbers, variances positive ones, and return it."""
    for place, variable in enumerate(model.weights):
        value = numbers(*variable.shape, seed=place) * 0.3
        variable.assign(np.abs(value) + 0.5 if "variance" in variable.path else value)
    return model


def layer_types(model):
    """Return the classes of a model's layers, those within nested models too."""
    return [type(layer).__name__ for layer in model._flatten_layers(include_self=False)]
