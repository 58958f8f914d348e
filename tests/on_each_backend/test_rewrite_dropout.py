"""The dropout rate of a plan: set where there are layers for it, put in where there are none."""

import keras
import numpy as np
import pytest

from slipstream.errors import PlanError
from slipstream.rewrite.dropout import set_dropout
from slipstream.rewrite.penalty import Penalty

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
L = keras.layers


def dropouts(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, L.Dropout)]


def share_of_zeros(model, count=400):
    """Return the share of zeros that the model's one Dropout layer makes in training."""
    (layer,) = dropouts(model)
    return float(np.mean(np.array(layer(np.ones((count, 50), "float32"), training=True)) == 0))


@pytest.mark.parametrize("before", [0.0, 0.3])
@pytest.mark.parametrize("rate", [0.0, 0.6])
def test_the_rate_of_layers_that_are_there(before, rate):
    model = keras.Sequential([keras.Input((5,)), L.Dense(8), L.Dropout(before), L.Dense(3)])
    expected = model.predict(X, verbose=0)
    same = set_dropout(model, rate)
    assert same is model
    assert share_of_zeros(model) == pytest.approx(rate, abs=0.03)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)


def functional():
    inputs = keras.Input((5,))
    hidden = L.Dense(8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, [L.Dense(3, name="a")(hidden), L.Dense(2, name="b")(hidden)])


def test_one_is_put_before_each_output():
    model = functional()
    expected = model.predict(X, verbose=0)
    changed = set_dropout(model, 0.5)
    assert [layer.name for layer in dropouts(changed)] == ["a_dropout", "b_dropout"]
    assert {layer.rate for layer in dropouts(changed)} == {0.5}
    assert changed.output_names == model.output_names
    for ours, theirs in zip(changed.predict(X, verbose=0), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert [w.shape for w in changed.get_weights()] == [w.shape for w in model.get_weights()]


def test_a_sequential_model_gets_one_and_keeps_its_weights():
    model = keras.Sequential([keras.Input((5,)), L.Dense(8), L.Dense(3, name="last")])
    changed = set_dropout(model, 0.5)
    assert share_of_zeros(changed) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(
        changed.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6
    )


def test_it_goes_before_the_last_weights_not_before_the_softmax():
    inputs = keras.Input((5,))
    logits = L.Dense(3, name="logits")(L.Dense(8)(inputs))
    model = keras.Model(inputs, L.Activation("softmax", name="p")(logits))
    changed = set_dropout(model, 0.9)
    assert [layer.name for layer in dropouts(changed)] == ["logits_dropout"]
    sums = keras.ops.convert_to_numpy(changed(X, training=True)).sum(1)
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)
    np.testing.assert_allclose(
        changed.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6
    )


def test_a_class_of_the_users_stays_that_class():
    class Own(keras.Model):
        def train_step(self, *args):
            return super().train_step(*args)

    inputs = keras.Input((5,))
    changed = set_dropout(Own(inputs, L.Dense(3)(inputs)), 0.5)
    assert isinstance(changed, Own)
    assert len(dropouts(changed)) == 1


def test_a_rate_of_zero_puts_nothing_in():
    model = functional()
    assert set_dropout(model, 0.0) is model


def test_a_model_without_a_graph_is_refused():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Plain()
    model(X)
    with pytest.raises(PlanError, match="Plain"):
        set_dropout(model, 0.5)


def penalties(model):
    return sum(float(keras.ops.convert_to_numpy(value)) for value in model.losses)


def test_penalties_fall_on_kernels_that_have_none_of_their_own():
    model = keras.Sequential(
        [
            keras.Input((6, 5)),
            L.LSTM(4),
            L.Dense(3, kernel_regularizer=keras.regularizers.L1(0.1)),
            L.BatchNormalization(),
            L.Dense(2),
        ]
    )
    own = penalties(model)
    penalty = Penalty(model, 0.02)
    assert penalty.num_kernels == 3
    kernels = [model.layers[0].cell.kernel, model.layers[0].cell.recurrent_kernel]
    kernels.append(model.layers[3].kernel)
    expected = own + 0.02 * sum(np.sum(np.array(kernel) ** 2) for kernel in kernels)
    assert penalties(model) == pytest.approx(expected, rel=1e-5)
    with penalty.lifted():
        assert penalties(model) == pytest.approx(own, rel=1e-6)
    assert penalties(model) == pytest.approx(expected, rel=1e-5)


def test_a_penalty_of_zero_touches_nothing():
    model = functional()
    assert Penalty(model, 0.0).num_kernels == 0
    assert model.losses == []
