"""Kernels that are drawn anew: their variances by formula, and by data."""

import keras
import numpy as np
import pytest
from engine_help import numbers
from rewrite_help import Subclassed, layers, once, outputs_of

import slipstream.rewrite as rewrite
from slipstream.errors import InputError
from slipstream.rewrite.initialization import initialize


def net():
    """Return a net of every kind of kernel, wide enough for statistics, activations apart."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 32)),
            layers.Conv2D(64, 3, name="full"),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, depth_multiplier=4, name="depthwise"),
            layers.ReLU(),
            layers.SeparableConv2D(48, 2, name="separable"),
            layers.Flatten(),
            layers.Dense(100, bias_initializer="ones", name="dense"),
            layers.Dense(30, name="out"),
        ]
    )


FANS = {
    "full/kernel": (9 * 32, 9 * 64),
    "depthwise/kernel": (9, 9 * 4),
    "separable/depthwise_kernel": (4, 4),
    "separable/pointwise_kernel": (256, 48),
    "dense/kernel": (48, 100),
}


def drawn(scheme):
    """Return the kernels that a scheme draws, by the end of their path."""
    new, _ = rewrite.initialize(net(), scheme)
    found = {}
    for variable in new.weights:
        key = "/".join(variable.path.split("/")[-2:])
        found[key] = keras.ops.convert_to_numpy(variable.value)
    return found


@once
@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform"])
def test_variances_are_those_of_the_formula(scheme):
    kernels = drawn(scheme)
    for key, (fan_in, fan_out) in FANS.items():
        formula = 2 / fan_in if scheme == "he_normal" else 2 / (fan_in + fan_out)
        spread = 4 * np.sqrt(2 / kernels[key].size)
        assert abs(np.var(kernels[key]) / formula - 1) < spread, key
    np.testing.assert_array_equal(kernels["dense/bias"], 1.0)


@once
def test_orthogonal_kernels_keep_lengths():
    kernel = drawn("orthogonal")["full/kernel"].reshape(-1, 64)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(64), atol=1e-5)


def test_lsuv_gives_every_layer_outputs_of_variance_1():
    model = net()
    x = 3.0 * numbers(300, 6, 6, 32)
    new, change = rewrite.initialize(model, "lsuv", x)
    assert change.what == "lsuv: kernels of 5 layers, 5 of them scaled by data"
    names = ["full", "depthwise", "separable", "dense", "out"]
    within = keras.Model(new.inputs[0], [new.get_layer(name).output for name in names])
    for values in outputs_of(within, x[:256]):
        assert abs(np.var(values) - 1.0) < 1e-3


def test_a_model_without_a_graph_is_drawn_anew_in_place_and_zeros_stay():
    model = Subclassed()
    model(numbers(2, 4))
    assert initialize(model, "lsuv", numbers(64, 4)) == (
        "lsuv: kernels of 1 layers, 1 of them scaled by data"
    )
    assert abs(np.var(outputs_of(model, numbers(64, 4))[0]) - 1.0) < 1e-3
    model.dense.kernel.assign(np.zeros((4, 3)))
    initialize(model, "he_normal")
    assert not np.any(keras.ops.convert_to_numpy(model.dense.kernel.value))
    with pytest.raises(InputError, match="inputs for lsuv"):
        initialize(model, "lsuv")
    with pytest.raises(InputError, match="a way to draw kernels"):
        initialize(model, "kaiming")
