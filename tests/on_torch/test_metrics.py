"""Native updates of metrics against Keras' own, on the same variables, and against NumPy."""

import keras
import numpy as np
import pytest
import torch

from slipstream.lowering._metric import of_metric

CLASSES = 4
metrics = keras.metrics


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def labels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, CLASSES, shape)


def bits(*shape):
    return np.random.default_rng(4).integers(0, 2, shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASES = {
    "sparse accuracy": (
        metrics.SparseCategoricalAccuracy,
        [
            (labels(8), numbers(8, CLASSES)),
            (labels(8, 1).astype("uint8"), numbers(8, CLASSES)),
            (labels(8).astype("float32"), numbers(8, CLASSES)),
            (labels(3, 5), numbers(3, 5, CLASSES)),
            (labels(3, 1), numbers(3, 1, CLASSES)),
            (labels(3, 5, 1), numbers(3, 5, CLASSES)),
        ],
    ),
    "categorical accuracy": (
        metrics.CategoricalAccuracy,
        [
            (np.eye(CLASSES)[labels(8)], numbers(8, CLASSES)),
            (np.eye(CLASSES)[labels(3, 5)], numbers(3, 5, CLASSES)),
        ],
    ),
    "binary accuracy": (
        lambda: metrics.BinaryAccuracy(threshold=0.2),
        [
            (bits(8), numbers(8, 1)),
            (bits(8, 1), numbers(8, 1)),
            (bits(8, 3).astype("float32"), numbers(8, 3)),
            (bits(8), numbers(8)),
            (bits(3, 5, 2), numbers(3, 5, 2)),
        ],
    ),
    "squared error": (
        metrics.MeanSquaredError,
        [(numbers(8), numbers(8, 1, seed=1)), (numbers(3, 5, 2), numbers(3, 5, 2, seed=1))],
    ),
    "absolute error": (
        metrics.MeanAbsoluteError,
        [(numbers(8, 2).astype("float64"), numbers(8, 2, seed=1)), (numbers(8), numbers(8))],
    ),
    "root of squared error": (
        metrics.RootMeanSquaredError,
        [(numbers(8), numbers(8, 1, seed=1)), (numbers(3, 5, 2), numbers(3, 5, 2, seed=1))],
    ),
    "cross-entropy": (
        lambda: metrics.SparseCategoricalCrossentropy(from_logits=True),
        [(labels(8), numbers(8, CLASSES)), (labels(3, 5), numbers(3, 5, CLASSES))],
    ),
    "categorical cross-entropy": (
        lambda: metrics.CategoricalCrossentropy(label_smoothing=0.1),
        [(np.eye(CLASSES)[labels(8)], softmax(numbers(8, CLASSES)))],
    ),
    "binary cross-entropy": (
        metrics.BinaryCrossentropy,
        [(bits(8, 2), softmax(numbers(8, 2)))],
    ),
    "huber": (
        lambda: metrics.MeanMetricWrapper(keras.losses.huber, delta=0.5),
        [(numbers(8, 2), numbers(8, 2, seed=1))],
    ),
}


def cases():
    for name, (_, pairs) in CASES.items():
        for index in range(len(pairs)):
            yield pytest.param(name, index, id=f"{name} {index}")


def kinds_of_weights(y_pred):
    rng = np.random.default_rng(6)
    yield None
    if y_pred.ndim > 1:
        yield rng.uniform(0, 2, y_pred.shape[:1]).astype("float32")
    if y_pred.ndim == 3:
        yield rng.uniform(0, 2, y_pred.shape[:2])


def parts_of(y_true, y_pred, weights, mask):
    """Yield the examples as two batches of tensors."""
    for part in (slice(0, 5), slice(5, None)):
        if len(y_true[part]) == 0:
            continue
        pred = torch.tensor(y_pred[part])
        if mask is not None:
            pred._keras_mask = torch.tensor(mask[part])
        weight = None if weights is None else torch.tensor(weights[part])
        yield torch.tensor(y_true[part]), pred, weight


@pytest.mark.parametrize(("name", "index"), list(cases()))
def test_the_variables_are_those_that_keras_writes(name, index):
    make, pairs = CASES[name]
    y_true, y_pred = pairs[index]
    masks = [None]
    if y_pred.ndim == 3:
        masks.append(np.arange(y_pred.shape[0] * y_pred.shape[1]).reshape(y_pred.shape[:2]) % 3 > 0)
    for weights in kinds_of_weights(y_pred):
        # Keras itself cannot bring weights of examples together with masks of steps.
        for mask in masks if weights is None or weights.ndim == 2 else [None]:
            ours, theirs = make(), make()
            native = of_metric(ours)
            assert callable(native)
            for true, pred, weight in parts_of(y_true, y_pred, weights, mask):
                native(true, pred, weight)
                theirs.update_state(true, pred, weight)
            for mine, other in zip(ours.variables, theirs.variables, strict=True):
                assert float(mine) == pytest.approx(float(other), rel=2e-6, abs=1e-6)
            assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=2e-6)


def test_against_formulas():
    x, y, w = numbers(8, CLASSES), labels(8), np.linspace(0, 2, 8)
    hits = x.argmax(1) == y
    accuracy = metrics.SparseCategoricalAccuracy()
    of_metric(accuracy)(torch.tensor(y), torch.tensor(x), None)
    assert float(accuracy.result()) == pytest.approx(hits.mean())
    accuracy.reset_state()
    of_metric(accuracy)(torch.tensor(y), torch.tensor(x), torch.tensor(w))
    assert float(accuracy.result()) == pytest.approx((hits * w).sum() / w.sum())
    error = metrics.RootMeanSquaredError()
    of_metric(error)(torch.zeros(8, CLASSES), torch.tensor(x), None)
    assert float(error.result()) == pytest.approx(np.sqrt((x**2).mean()), rel=1e-6)


class OwnAccuracy(metrics.SparseCategoricalAccuracy):
    """A user's own, which counts what it likes."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred, sample_weight)
        self.count.assign_add(1)


@pytest.mark.parametrize(
    "metric",
    [
        OwnAccuracy(),
        metrics.AUC(),
        metrics.SparseTopKCategoricalAccuracy(),
        metrics.MeanMetricWrapper(lambda y_true, y_pred: y_pred),
        metrics.SparseCategoricalCrossentropy(ignore_class=1),
        metrics.MeanSquaredError(dtype="float16"),
    ],
)
def test_what_is_left_to_keras(metric):
    assert isinstance(of_metric(metric), str)


def test_half_precision_and_odd_shapes_go_through_keras_own_update():
    ours, theirs = metrics.MeanSquaredError(), metrics.MeanSquaredError()
    for y_true, y_pred in (
        (numbers(8, 1), torch.tensor(numbers(8, 1, seed=1)).to(torch.bfloat16)),
        (numbers(8, 1), torch.tensor(numbers(8, 3))),
    ):
        of_metric(ours)(torch.tensor(y_true), y_pred, None)
        theirs.update_state(torch.tensor(y_true), y_pred)
    assert [float(v) for v in ours.variables] == [float(v) for v in theirs.variables]
