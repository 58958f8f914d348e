"""Channels, weights and branches that are dropped: which, how, and in training alone."""

import keras
import numpy as np
import pytest

from slipstream.rewrite.drop_connect import drop_weights
from slipstream.rewrite.dropout import set_dropout
from slipstream.rewrite.rewiring import can_be_rewired
from slipstream.rewrite.spatial_dropout import drop_channels
from slipstream.rewrite.stochastic_depth import drop_branches, residual_branches

L = keras.layers
RATE = 0.4
IMAGES = np.random.default_rng(0).normal(size=(5, 6, 6, 3)).astype("float32")
ROWS = np.random.default_rng(1).normal(size=(300, 4)).astype("float32")


def numpy_of(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))


def same_in_inference(model, changed, x):
    np.testing.assert_array_equal(numpy_of(changed(x)), numpy_of(model(x)))


def residual_net():
    """A branch with an identity, by a layer; one with a projection, by a plus sign; within another
    model, one that normalizes first."""
    images = keras.Input((6, 6, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same", name="stem")(images)))
    branch = L.BatchNormalization(name="first")(L.Conv2D(4, 3, padding="same")(x))
    x = L.ReLU()(L.Add()([branch, x]))
    projection = L.BatchNormalization()(L.Conv2D(6, 1)(x))
    branch = L.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = projection + L.Conv2D(6, 3, padding="same", name="second")(branch)
    inside = keras.Input((6, 6, 6))
    branch = L.Conv2D(6, 1, name="third")(L.LayerNormalization()(inside))
    block = keras.Model(inside, L.Add()([inside, branch]), name="block")
    x = L.GlobalAveragePooling2D()(block(x))
    return keras.Model(images, L.Dense(3, name="head")(L.Dense(8, name="hidden")(x)))


def test_branches_are_told_from_shortcuts_and_dropped_linearly_more():
    model = residual_net()
    names = [branch.tensor._keras_history.operation.name for branch in residual_branches(model)]
    assert names == ["first", "second", "third"]
    changed, rates = drop_branches(model, 0.6)
    assert rates == pytest.approx([0.2, 0.4, 0.6])
    new = [layer for layer in changed._flatten_layers() if isinstance(layer, L.Dropout)]
    assert sorted(layer.rate for layer in new) == pytest.approx(rates)
    assert {layer.noise_shape for layer in new} == {(None, 1, 1, 1)}
    assert {id(w) for w in changed.weights} == {id(w) for w in model.weights}
    same_in_inference(model, changed, IMAGES)
    assert changed.get_layer("block") is not model.get_layer("block")
    assert type(changed) is type(model) and changed.name == model.name


def test_an_example_takes_the_shortcut_alone_or_a_branch_that_makes_up_for_it():
    inputs = keras.Input((4,))
    branch = L.Dense(4, name="branch")(inputs)
    model, _ = drop_branches(keras.Model(inputs, inputs + branch), RATE)
    y, full = numpy_of(model(ROWS, training=True)), numpy_of(model.get_layer("branch")(ROWS))
    left_out = np.isclose(y, ROWS, atol=1e-6).all(axis=1)
    assert np.mean(left_out) == pytest.approx(RATE, abs=0.1)
    np.testing.assert_allclose(
        y[~left_out], (ROWS + full / (1 - RATE))[~left_out], rtol=1e-4, atol=1e-5
    )


def test_a_branch_that_is_dropped_already_gets_the_rate():
    inputs = keras.Input((4,))
    dropped = L.Dropout(0.0, noise_shape=(None, 1), name="there")(L.Dense(4)(inputs))
    model = keras.Model(inputs, L.Dense(2)(L.Add()([inputs, dropped])))
    same, rates = drop_branches(model, RATE)
    assert same is model and rates == [RATE]
    assert model.get_layer("there").rate == RATE
    zeros = numpy_of(model.get_layer("there")(np.ones((300, 4), "float32"), training=True)) == 0
    assert np.mean(zeros.all(axis=1)) == np.mean(zeros) == pytest.approx(RATE, abs=0.1)
    # It is none of the layers that the dropout rate is for: one is put in.
    assert [layer.rate for layer in set_dropout(model, 0.1).layers[-2:-1]] == [0.1]
    assert model.get_layer("there").rate == RATE


def towers():
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Add()([L.Dense(3)(inputs), L.Dense(3)(inputs)]))


def embedded():
    tokens = keras.Input((5,), dtype="int32")
    return keras.Model(tokens, L.Embedding(9, 4)(tokens) + L.Dense(4)(L.Embedding(9, 4)(tokens)))


def twice():
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(2)(inputs + inputs))


@pytest.mark.parametrize("net", [towers, embedded, twice])
def test_other_sums_are_no_residual_branches(net):
    model = net()
    assert drop_branches(model, RATE) == (model, [])


def conv_net(dropout=None, **settings):
    layers = [
        L.Conv2D(8, 3, **settings),
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        *([L.Dropout(dropout, name="there")] if dropout is not None else []),
        L.Conv2D(6, 1, activation="relu", name="last"),
        L.Flatten(),
        L.Dropout(0.2, name="units"),
        L.Dense(3),
    ]
    return keras.Sequential([keras.Input((6, 6, 3)), *layers])


def test_channels_are_dropped_after_each_block_of_a_convolution():
    model = conv_net()
    changed, layers = drop_channels(model, RATE)
    assert [type(layer) for layer in layers] == [L.SpatialDropout2D] * 2
    kinds = [type(layer).__name__ for layer in changed.layers]
    assert kinds[4:8] == ["MaxPooling2D", "SpatialDropout2D", "Conv2D", "SpatialDropout2D"]
    same_in_inference(model, changed, IMAGES)
    kept = numpy_of(layers[0](np.ones((60, 2, 2, 8), "float32"), training=True)).reshape(60, 4, 8)
    assert (kept == kept[:, :1]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 1 / (1 - RATE)], rtol=1e-6)
    assert np.mean(kept == 0) == pytest.approx(RATE, abs=0.1)
    # The plan's dropout is for the other layers.
    set_dropout(changed, 0.7, layers)
    assert {layer.rate for layer in layers} == {RATE}
    assert changed.get_layer("units").rate == 0.7


def test_dropout_after_a_convolution_becomes_spatial():
    model = conv_net(dropout=0.0)
    same, layers = drop_channels(model, RATE)
    assert same is model and layers == [model.get_layer("there")]
    there = numpy_of(layers[0](np.ones((60, 2, 2, 8), "float32"), training=True)).reshape(60, 4, 8)
    assert (there == there[:, :1]).all() and np.mean(there == 0) == pytest.approx(RATE, abs=0.1)
    assert model.get_layer("units").rate == 0.2


def test_convolutions_that_make_outputs_or_gates_keep_their_channels():
    images = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, padding="same", name="body")(images)
    gate = L.Conv2D(4, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Multiply()([x, gate])
    model = keras.Model(images, L.Activation("softmax")(L.Conv2D(2, 1, name="mask")(x)))
    changed, layers = drop_channels(model, RATE)
    assert len(layers) == 1
    assert layers[0]._inbound_nodes[0].input_tensors[0]._keras_history.operation.name == "body"
    same_in_inference(model, changed, IMAGES)


def test_a_class_with_a_constructor_of_its_own_cannot_be_rewired():
    class Own(keras.Model):
        def __init__(self, width):
            inputs = keras.Input((4,))
            super().__init__(inputs, L.Dense(width)(inputs))

    assert not can_be_rewired(Own(3))
    assert can_be_rewired(residual_net()) and can_be_rewired(conv_net())


def one_hot(*shape):
    size = int(np.prod(shape))
    return np.eye(size, dtype="float32").reshape(size, *shape)


@pytest.mark.parametrize(
    ("layer", "x", "kernel"),
    [
        (L.Dense(9), one_hot(7), lambda w: w),
        (L.Conv2D(5, 3), one_hot(3, 3, 2), lambda w: w.reshape(18, 5)),
        (L.Conv1D(6, 2), one_hot(2, 4), lambda w: w.reshape(8, 6)),
        (
            L.DepthwiseConv2D(2),
            one_hot(2, 2, 9),
            lambda w: (w * np.eye(9)).reshape(36, 9),
        ),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, keras.Layer) else "",
)
def test_weights_are_dropped_for_the_whole_batch(layer, x, kernel):
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, L.Flatten(), L.Dense(2)])
    before = model(x)
    assert drop_weights(model, RATE) == 1
    same_in_inference(lambda _: before, model, x)
    whole = kernel(numpy_of(layer.weights[0]))
    # Each example is one place of the input: together they show the kernel.
    shown = [numpy_of(layer(x, training=True)).reshape(whole.shape) for _ in range(4)]
    for dropped in shown:
        gone = (dropped == 0) & (whole != 0)
        np.testing.assert_allclose(dropped, np.where(gone, 0, whole / (1 - RATE)), rtol=1e-5)
    assert not np.array_equal(shown[0], shown[1])
    share = np.mean(np.stack(shown)[:, whole != 0] == 0)
    assert share == pytest.approx(RATE, abs=0.15)
    assert numpy_of(layer.weights[0]).shape == layer.weights[0].shape


def test_outputs_and_frozen_layers_keep_their_weights_and_files_know_nothing(tmp_path):
    inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(4, 3, trainable=False)(inputs)
    x = L.Flatten()(L.SeparableConv2D(4, 3)(x))
    model = keras.Model(inputs, L.Softmax()(L.Dense(3)(L.Dense(5, name="hidden")(x))))
    plain = keras.models.clone_model(model)
    # A separable convolution has two kernels.
    assert drop_weights(model, RATE) == 3
    assert sum("call" in vars(layer) for layer in model.layers) == 2
    model.save_weights(tmp_path / "w.weights.h5")
    plain.load_weights(tmp_path / "w.weights.h5")
    same_in_inference(plain, model, IMAGES)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    same_in_inference(model, again, IMAGES)
    one, other = (numpy_of(again(IMAGES, training=True)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(numpy_of(model(IMAGES, training=True)), one)
