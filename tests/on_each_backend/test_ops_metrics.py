"""Metrics against scikit-learn and NumPy: shapes, weights, masks, batches of unequal size."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from sklearn import metrics as reference

from slipstream.ops.metrics import F1, METRICS, ConfusionMatrix, ExpectedCalibrationError

RNG = np.random.default_rng(0)
NUM = 53
LABELS = RNG.integers(0, 4, NUM)
LOGITS = (RNG.normal(size=(NUM, 4)) + 1.5 * np.eye(5)[LABELS, :4]).astype("float32")
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
BITS = RNG.integers(0, 2, NUM)
SCORES = np.clip(0.3 * BITS + RNG.uniform(0, 0.7, NUM), 0, 1).astype("float32")
WEIGHTS = RNG.uniform(0.1, 3, NUM).astype("float32")


def over_batches(metric, true, pred, weights=None, at_most=20):
    """Feed a metric batch by batch, the last one smaller."""
    for start in range(0, len(true), at_most):
        part = slice(start, start + at_most)
        metric.update_state(true[part], pred[part], None if weights is None else weights[part])
    return keras.ops.convert_to_numpy(metric.result())


def ece(labels, p, num_bins, weights=None):
    """By hand, bin by bin."""
    weights = np.ones(len(labels)) if weights is None else weights
    confidence, right = p.max(1), p.argmax(1) == labels
    edges = np.linspace(0, 1, num_bins + 1)
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            w = weights[inside]
            gap = np.average(right[inside], weights=w) - np.average(confidence[inside], weights=w)
            total += abs(gap) * w.sum() / weights.sum()
    return total


@pytest.mark.parametrize("of_target", [(NUM,), (NUM, 1)])
@pytest.mark.parametrize("of_score", [(NUM,), (NUM, 1)])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_one_score_an_example(of_target, of_score, weights):
    true, pred = BITS.reshape(of_target), SCORES.reshape(of_score)
    said = SCORES > 0.5
    for average in ("binary", "macro", "micro"):
        assert over_batches(F1(average), true, pred, weights) == pytest.approx(
            reference.f1_score(BITS, said, average=average, sample_weight=weights), rel=1e-5
        )
    np.testing.assert_allclose(
        over_batches(ConfusionMatrix(), true, pred, weights),
        reference.confusion_matrix(BITS, said, sample_weight=weights),
        rtol=1e-5,
    )
    both = np.stack([1 - SCORES, SCORES], axis=1)
    assert over_batches(ExpectedCalibrationError(10), true, pred, weights) == pytest.approx(
        ece(BITS, both, 10, weights), abs=1e-6
    )


@pytest.mark.parametrize("true", [LABELS, LABELS[:, None], np.eye(4)[LABELS]], ids=[1, 2, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]], ids=["", "(N,)", "(N, 1)"])
def test_several_classes(true, weights):
    flat = None if weights is None else weights.ravel()
    for average in ("macro", "micro"):
        assert over_batches(F1(average), true, LOGITS, weights) == pytest.approx(
            reference.f1_score(LABELS, P.argmax(1), average=average, sample_weight=flat), rel=1e-5
        )
    np.testing.assert_allclose(
        over_batches(ConfusionMatrix(), true, P, weights),
        reference.confusion_matrix(LABELS, P.argmax(1), sample_weight=flat),
        rtol=1e-5,
    )
    for pred, from_logits in ((P, False), (LOGITS, True)):
        metric = ExpectedCalibrationError(15, from_logits)
        assert over_batches(metric, true, pred, weights) == pytest.approx(
            ece(LABELS, P, 15, flat), abs=1e-6
        )


def test_logits_and_thresholds_of_one_score():
    logits = np.log(np.clip(SCORES, 1e-6, 1 - 1e-6) / (1 - np.clip(SCORES, 1e-6, 1 - 1e-6)))
    expected = reference.f1_score(BITS, SCORES > 0.3)
    assert over_batches(F1(threshold=0.3), BITS, SCORES) == pytest.approx(expected, rel=1e-5)
    metric = F1(from_logits=True, threshold=0.3)
    assert over_batches(metric, BITS, logits) == pytest.approx(expected, rel=1e-5)


def test_a_class_that_does_not_occur_is_no_part_of_the_mean():
    true, said = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 3])
    expected = reference.f1_score(true, said, average="macro", zero_division=0)
    assert over_batches(F1("macro"), true, np.eye(5)[said]) == pytest.approx(expected, rel=1e-6)


def test_masked_steps_do_not_count():
    true, pred = LABELS[:12].reshape(4, 3), P[:12].reshape(4, 3, 4)
    mask = RNG.uniform(size=(4, 3)) > 0.3
    masked = keras.ops.convert_to_tensor(pred.astype("float32"))
    masked._keras_mask = keras.ops.convert_to_tensor(mask)
    kept = mask.ravel()
    for metric, expected in (
        (F1("micro"), reference.accuracy_score(LABELS[:12][kept], P[:12][kept].argmax(1))),
        (ExpectedCalibrationError(), ece(LABELS[:12][kept], P[:12][kept], 15)),
    ):
        metric.update_state(true, masked)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_they_start_anew_and_come_back_from_their_configuration():
    for metric in (F1("macro", threshold=0.4), ConfusionMatrix(True), ExpectedCalibrationError(7)):
        first = over_batches(metric, LABELS, P)
        metric.reset_state()
        np.testing.assert_allclose(over_batches(metric, LABELS, P), first)
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
    for name, make in METRICS.items():
        assert make().name == name


def test_an_average_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'binary', 'macro' or 'micro'"):
        F1("weighted")


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("shape", [(NUM,), (NUM, 1)])
def test_those_of_keras(weights, shape):
    true, pred = BITS.reshape(shape), SCORES.reshape(NUM, 1)
    said = SCORES > 0.5
    for metric, expected in (
        (
            keras.metrics.AUC(num_thresholds=2000),
            reference.roc_auc_score(BITS, SCORES, sample_weight=weights),
        ),
        (
            keras.metrics.Precision(),
            reference.precision_score(BITS, said, sample_weight=weights),
        ),
        (keras.metrics.Recall(), reference.recall_score(BITS, said, sample_weight=weights)),
    ):
        assert over_batches(metric, true, pred, weights) == pytest.approx(expected, abs=2e-3)
    for k in (1, 2, 3):
        top = over_batches(keras.metrics.SparseTopKCategoricalAccuracy(k), LABELS, P, weights)
        assert top == pytest.approx(
            reference.top_k_accuracy_score(LABELS, P, k=k, sample_weight=weights), rel=1e-5
        )
