"""Focal and asymmetric losses: formulas in NumPy, finite differences, weights, masks, shapes."""

import keras
import numpy as np
import pytest

from slipstream.ops.losses import AsymmetricMeanSquaredError, SparseFocalCrossentropy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 4)).astype("float32")
LABELS = RNG.integers(0, 4, 7)
WEIGHTS = np.linspace(0, 2, 7).astype("float32")
TARGETS = RNG.normal(size=7).astype("float32")
GUESSES = RNG.normal(size=7).astype("float32")


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def focal(labels, logits, gamma, smoothing=0.0):
    """The focal loss of each example, in float64."""
    p = softmax(np.asarray(logits, "float64"))
    t = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    return -np.sum(t * (1 - p) ** gamma * np.log(p), axis=-1)


def asymmetric(targets, guesses, asymmetry):
    error = np.asarray(targets, "float64") - np.asarray(guesses, "float64")
    return error**2 * np.where(error > 0, asymmetry, 1.0)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("from_logits", [True, False])
def test_focal_is_its_formula_for_labels_of_both_shapes(gamma, smoothing, from_logits):
    loss = SparseFocalCrossentropy(gamma, from_logits, smoothing)
    predictions = LOGITS if from_logits else softmax(LOGITS)
    each = focal(LABELS, LOGITS, gamma, smoothing)
    for labels in (LABELS, LABELS[:, None], LABELS.astype("float32")):
        assert float(loss(labels, predictions)) == pytest.approx(each.mean(), rel=1e-5)
    weighted = float(loss(LABELS, predictions, sample_weight=WEIGHTS))
    assert weighted == pytest.approx(np.mean(WEIGHTS * each), rel=1e-5)


def test_focal_is_that_of_keras_for_one_hot_targets():
    ours = SparseFocalCrossentropy(2.0, from_logits=True)
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    one_hot = np.eye(4, dtype="float32")[LABELS]
    assert float(ours(LABELS, LOGITS)) == pytest.approx(float(theirs(one_hot, LOGITS)), rel=1e-5)


@pytest.mark.parametrize("asymmetry", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("of_target", [(7,), (7, 1)])
@pytest.mark.parametrize("of_guess", [(7,), (7, 1)])
def test_asymmetric_is_its_formula_for_all_shapes(asymmetry, of_target, of_guess):
    loss = AsymmetricMeanSquaredError(asymmetry)
    each = asymmetric(TARGETS, GUESSES, asymmetry)
    targets, guesses = TARGETS.reshape(of_target), GUESSES.reshape(of_guess)
    assert float(loss(targets, guesses)) == pytest.approx(each.mean(), rel=1e-5)
    weighted = float(loss(targets, guesses, sample_weight=WEIGHTS))
    assert weighted == pytest.approx(np.mean(WEIGHTS * each), rel=1e-5)


@pytest.mark.parametrize("kind", ["focal", "asymmetric"])
def test_masked_steps_do_not_count(kind):
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    if kind == "focal":
        loss = SparseFocalCrossentropy(2.0, from_logits=True)
        true, pred = LABELS[:6].reshape(2, 3), LOGITS[:6].reshape(2, 3, 4)
        each = focal(LABELS[:6], LOGITS[:6], 2.0).reshape(2, 3)
    else:
        loss = AsymmetricMeanSquaredError(3.0)
        true, pred = TARGETS[:6].reshape(2, 3, 1), GUESSES[:6].reshape(2, 3, 1)
        each = asymmetric(true, pred, 3.0)[..., 0]
    pred = keras.ops.convert_to_tensor(pred)
    pred._keras_mask = keras.ops.convert_to_tensor(mask)
    assert float(loss(true, pred)) == pytest.approx(each[mask].mean(), rel=1e-5)


GRADIENTS = {
    "focal": (
        lambda: SparseFocalCrossentropy(2.0, from_logits=True, smoothing=0.1),
        LABELS,
        lambda w: focal(LABELS, LOGITS @ w, 2.0, 0.1).mean(),
    ),
    "focal of probabilities": (
        lambda: SparseFocalCrossentropy(1.0),
        LABELS,
        lambda w: focal(LABELS, LOGITS @ w, 1.0).mean(),
    ),
    "asymmetric": (
        lambda: AsymmetricMeanSquaredError(3.0),
        LOGITS[:, ::-1],
        lambda w: asymmetric(LOGITS[:, ::-1], LOGITS @ w, 3.0).mean(),
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_finite_differences(name):
    """One update of SGD with rate 1 moves the weights by the gradient."""
    make, targets, by_hand = GRADIENTS[name]
    activation = "softmax" if name == "focal of probabilities" else None
    layer = keras.layers.Dense(4, activation=activation, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), layer])
    kernel = np.array(layer.kernel, "float64")
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=make(), run_eagerly=True)
    model.train_on_batch(LOGITS, targets)
    gradient, step = np.zeros_like(kernel), 1e-5
    for place in np.ndindex(kernel.shape):
        low, high = kernel.copy(), kernel.copy()
        low[place] -= step
        high[place] += step
        gradient[place] = (by_hand(high) - by_hand(low)) / (2 * step)
    np.testing.assert_allclose(kernel - np.array(layer.kernel), gradient, rtol=1e-3, atol=2e-6)


def test_certainty_has_a_finite_slope():
    """At p = 1 a power below 1 has none of its own."""
    layer = keras.layers.Dense(2, use_bias=False, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), layer])
    loss = SparseFocalCrossentropy(0.5, from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, run_eagerly=True)
    model.train_on_batch(np.array([[200.0, 0.0]], "float32"), np.array([0]))
    assert np.isfinite(np.array(layer.kernel)).all()


@pytest.mark.parametrize(
    "loss", [SparseFocalCrossentropy(3.0, True, 0.1), AsymmetricMeanSquaredError(4.0)]
)
def test_they_come_back_from_their_configuration(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
