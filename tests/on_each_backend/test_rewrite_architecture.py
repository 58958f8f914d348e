"""Rewrites of models: what they promise to keep is kept, and the rest is as it should be."""

import keras
import numpy as np
import pytest
from rewrite_help import (
    Subclassed,
    assert_same_outputs,
    convolutional,
    dense,
    inputs_for,
    layer_types,
    layers,
    nested,
    once,
    outputs_of,
    recurrent,
    transformer,
    with_numbers,
)

import slipstream.rewrite as rewrite
from slipstream.errors import InputError
from slipstream.plan.architecture import BaseName
from slipstream.rewrite.separable import nearest_kernels

REWRITES = {
    "batch_norm": rewrite.add_batch_normalization,
    "plain": rewrite.add_residuals,
    "gated": lambda model: rewrite.add_residuals(model, "gated"),
    "separable": rewrite.make_separable,
    "wide": lambda model: rewrite.scale_width(model, 2.0),
    "deep": lambda model: rewrite.scale_depth(model, 2.0),
    "shallow": lambda model: rewrite.scale_depth(model, 0.5),
    "zero_gamma": rewrite.zero_gamma,
    "frozen": rewrite.freeze_batch_normalization,
    "he": lambda model: rewrite.initialize(model, "he_normal"),
}
SAME_OUTPUTS = ("batch_norm", "gated", "deep", "frozen")
POSSIBLE = {
    dense: ("batch_norm", "plain", "gated", "wide", "deep", "shallow", "he"),
    convolutional: ("batch_norm", "separable", "deep", "frozen"),
    nested: ("batch_norm", "gated", "wide", "shallow"),
    recurrent: ("plain", "wide", "deep"),
    transformer: ("wide", "deep", "zero_gamma"),
}


@once
@pytest.mark.parametrize("build", POSSIBLE)
def test_a_rewrite_leaves_the_model_alone_and_gives_one_that_can_be_saved(build, tmp_path):
    model = with_numbers(build())
    x, before, weights = inputs_for(model), layer_types(model), model.get_weights()
    old = outputs_of(model, x)
    for name in POSSIBLE[build]:
        new, change = REWRITES[name](model)
        assert change.parameters == (model.count_params(), new.count_params())
        assert new.name == model.name
        assert new.input_shape == model.input_shape
        assert new.output_shape == model.output_shape
        if build is nested:
            assert new.output_names == model.output_names == ["gate", "sum"]
        if name in SAME_OUTPUTS:
            assert_same_outputs(new, model, x)
        else:
            pairs = zip(outputs_of(new, x), old, strict=True)
            assert any(np.abs(mine - theirs).max() > 1e-4 for mine, theirs in pairs)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    assert_same_outputs(loaded, new, x, rtol=0, atol=0)
    assert layer_types(model) == before
    for mine, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(outputs_of(model, x), old, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_rewritten_model_gives_what_it_promises_on_this_backend():
    model = with_numbers(convolutional())
    x = inputs_for(model)
    deep, _ = rewrite.scale_depth(model, 2.0)
    normalized, change = rewrite.add_batch_normalization(deep)
    assert_same_outputs(normalized, model, x)
    assert change.what == "BatchNormalization after 2 layers"
    trained = keras.ops.convert_to_numpy(normalized(x, training=True))
    assert np.abs(trained - outputs_of(model, x)[0]).max() > 1e-3


@once
def test_batch_normalization_stands_between_the_linear_part_and_the_activation():
    inputs = keras.Input((6, 6, 8))
    x = layers.Conv2D(8, 3, activation="relu", name="fused")(inputs)
    x = layers.ReLU()(layers.Conv2D(8, 1, name="apart")(x))
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, name="has_one")(x))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
    squeezed = layers.Conv2D(4, 1, activation="relu", name="squeeze")(squeezed)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid", name="gate")(squeezed)])
    outputs = layers.Dense(2, activation="relu", name="out")(layers.Flatten()(x))
    new, change = rewrite.add_batch_normalization(keras.Model(inputs, outputs))
    assert change.what == "BatchNormalization after 2 layers"
    assert not new.get_layer("fused").use_bias
    order = [layer.name for layer in new.layers]
    start = order.index("fused")
    assert order[start : start + 3] == ["fused", "fused_norm", "fused_activation"]
    assert order[order.index("apart") + 1] == "apart_norm"
    assert new.get_layer("squeeze").use_bias
    assert new.get_layer("out").use_bias


@once
def test_a_way_goes_around_two_layers_and_what_is_left_around_one():
    model = with_numbers(dense())
    x = inputs_for(model)
    new, change = rewrite.add_residuals(model)
    assert change.what == "plain connections around 1 blocks"
    w = model.get_weights()
    h = np.maximum(x @ w[0] + w[1], 0)
    f = np.maximum(np.maximum(h @ w[2] + w[3], 0) @ w[4] + w[5], 0)
    np.testing.assert_allclose(outputs_of(new, x)[0], (h + f) @ w[6] + w[7], rtol=1e-5, atol=1e-6)


@once
def test_deeper_means_more_blocks_of_the_same_kind_and_shallower_fewer():
    deep, change = rewrite.scale_depth(transformer(), 2.0)
    assert change.what == "2 -> 4 blocks"
    assert layer_types(deep).count("MultiHeadAttention") == 2
    shallow, _ = rewrite.scale_depth(dense(), 0.5)
    assert [layer.name for layer in shallow.layers[1:]] == ["hidden_0", "hidden_1", "logits"]


@once
def test_zero_gamma_lets_residual_blocks_begin_as_the_identity():
    model = with_numbers(convolutional())
    new, change = rewrite.zero_gamma(model)
    assert change.what == "gamma = 0 in 1 BatchNormalization layers"
    new.get_layer("norm_2").beta.assign(np.zeros(8))
    through = keras.Model(new.inputs[0], [new.get_layer(n).output for n in ("first", "sum")])
    first, summed = outputs_of(through, inputs_for(model))
    np.testing.assert_array_equal(first, summed)


@once
def test_separable_convolutions_are_the_nearest_and_count_as_the_formula_says():
    model = keras.Sequential(
        [keras.Input((5, 5, 8)), layers.Conv2D(6, 3, padding="same"), layers.Flatten()]
    )
    depthwise, pointwise = np.random.default_rng(0).normal(size=(2, 3, 3, 8, 6))
    depthwise, pointwise = depthwise[..., :1], pointwise[:1, :1]
    model.layers[0].kernel.assign(depthwise * pointwise)
    model.layers[0].bias.assign(np.arange(6.0))
    new, change = rewrite.make_separable(model, "nearest")
    assert_same_outputs(new, model, inputs_for(model), rtol=1e-4, atol=1e-4)
    assert change.multiply_adds == (25 * 9 * 8 * 6, 25 * (9 * 8 + 8 * 6))
    assert change.parameters == (9 * 8 * 6 + 6, 9 * 8 + 8 * 6 + 6)
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 5))
    first, second = nearest_kernels(kernel)
    other = np.abs(kernel - first * second * 1.01).sum(axis=None)
    assert (
        np.square(kernel - first * second).sum() < np.square(kernel - first * second * 1.01).sum()
    )
    assert other > 0


@once
def test_widths_scale_together_and_what_something_holds_stays():
    wide, change = rewrite.scale_width(convolutional(), 1.5)
    assert [wide.get_layer(name).filters for name in ("first", "branch_2", "last")] == [12, 12, 24]
    assert wide.get_layer("logits").units == 4
    assert change.what == "4 layers 1.5 times as wide"
    inputs = keras.Input((6,))
    held = layers.Dense(6, name="held")(layers.Dense(9, name="free")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Add()([inputs, held])))
    new, _ = rewrite.scale_width(model, 2.0)
    assert (new.get_layer("held").units, new.get_layer("free").units) == (6, 18)
    new, _ = rewrite.scale_width(nested(), 2.0)
    assert [layer.units for layer in new.get_layer("encoder").layers[1:]] == [16, 16]
    reshaped = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6), layers.Reshape((3, 2)), layers.Dense(2)]
    )
    with pytest.raises(InputError, match="whose width nothing else holds"):
        rewrite.scale_width(reshaped, 2.0)


@once
def test_frozen_layers_stay_frozen_in_a_copy_and_shared_ones_shared():
    model = nested()
    model.get_layer("encoder").layers[0].trainable = False
    new, _ = rewrite.add_residuals(model, "gated")
    inner = new.get_layer("encoder").layers
    frozen, free = [layer for layer in inner if isinstance(layer, layers.Dense)]
    assert (frozen.trainable, free.trainable) == (False, True)
    assert len(new.trainable_variables) == len(model.trainable_variables) + 1
    model.get_layer("encoder").trainable = False
    wide, _ = rewrite.scale_width(model, 2.0)
    assert len(wide.trainable_variables) == 4


@once
@pytest.mark.parametrize("name", REWRITES)
def test_a_model_without_a_graph_is_refused_and_so_is_one_with_nothing_to_change(name):
    model = Subclassed()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(InputError, match="built of connected layers"):
        REWRITES[name](model)
    if name in ("he", "frozen"):
        return
    tiny = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(InputError) as caught:
        REWRITES[name](tiny)
    assert "Leave" in str(caught.value) or "Set" in str(caught.value)


@once
def test_layers_that_cannot_be_copied_are_named():
    @keras.saving.register_keras_serializable("test")
    class Odd(keras.layers.Layer):
        def __init__(self, size, other):
            super().__init__(name="odd")

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((3,)), layers.Dense(3), Odd(1, 2), layers.Dense(2)])
    with pytest.raises(InputError, match="'odd'"):
        rewrite.scale_width(model, 2.0)


@once
def test_the_bases_of_a_plan_are_the_models_of_keras():
    names = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(BaseName.__args__) - {"as_model"} == names
