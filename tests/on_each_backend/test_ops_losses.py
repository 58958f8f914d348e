"""Smoothed cross-entropy of integer labels, against NumPy and against Keras' one-hot loss."""

import keras
import numpy as np
import pytest

from slipstream.ops.losses import SmoothedSparseCategoricalCrossentropy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 4)).astype("float32")
LABELS = RNG.integers(0, 4, 7)
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def by_hand(smoothing):
    labels = (1 - smoothing) * np.eye(4)[LABELS] + smoothing / 4
    return -np.mean(np.sum(labels * np.log(P), axis=1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("as_column", [True, False])
def test_its_formula(smoothing, from_logits, as_column):
    loss = SmoothedSparseCategoricalCrossentropy(smoothing, from_logits)
    labels = LABELS[:, None] if as_column else LABELS
    value = float(loss(labels, LOGITS if from_logits else P))
    assert value == pytest.approx(by_hand(smoothing), rel=1e-5)
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits, label_smoothing=smoothing)
    expected = float(keras_loss(np.eye(4, dtype="float32")[LABELS], LOGITS if from_logits else P))
    assert value == pytest.approx(expected, rel=1e-5)


def test_weights_and_sequences():
    loss = SmoothedSparseCategoricalCrossentropy(0.1, from_logits=True)
    weights = np.linspace(0, 2, 7).astype("float32")
    each = np.array([float(loss(LABELS[i : i + 1], LOGITS[i : i + 1])) for i in range(7)])
    assert float(loss(LABELS, LOGITS, sample_weight=weights)) == pytest.approx(
        np.mean(weights * each), rel=1e-5
    )
    sequence = loss(LABELS[:6].reshape(2, 3), LOGITS[:6].reshape(2, 3, 4))
    assert float(sequence) == pytest.approx(np.mean(each[:6]), rel=1e-5)


def test_a_probability_of_zero_stays_finite():
    loss = SmoothedSparseCategoricalCrossentropy(0.1, from_logits=False)
    assert np.isfinite(float(loss(np.array([0]), np.array([[0.0, 1.0]], "float32"))))


def test_it_comes_back_from_its_configuration():
    loss = SmoothedSparseCategoricalCrossentropy(0.3, from_logits=True)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))
