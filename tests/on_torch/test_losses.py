"""Native losses against Keras' own and against formulas in NumPy."""

import keras
import numpy as np
import pytest
import torch
from keras.src.losses.losses import LossFunctionWrapper

from slipstream.lowering._loss import penalty
from slipstream.lowering._loss_output import of_loss
from slipstream.ops.losses import SmoothedSparseCategoricalCrossentropy

losses = keras.losses
CLASSES = 5


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def probabilities(*shape, seed=0):
    raw = np.exp(2 * numbers(*shape, seed=seed))
    p = raw / raw.sum(-1, keepdims=True)
    # Some at the very edge, where clipping shows.
    p.reshape(-1, shape[-1])[0] = np.eye(shape[-1])[0]
    return p.astype("float32")


def labels(*shape):
    return np.random.default_rng(3).integers(0, CLASSES, shape)


def one_hot(*shape):
    return np.eye(CLASSES, dtype="float32")[labels(*shape)]


def bits(*shape):
    return np.random.default_rng(4).integers(0, 2, shape)


def shares(*shape):
    p = np.random.default_rng(5).uniform(size=shape).astype("float32")
    p.reshape(-1)[:2] = (0.0, 1.0)
    return p


# Targets and predictions, in all the shapes and types in which they come.
CASES = {
    "sparse, logits": (
        losses.SparseCategoricalCrossentropy(from_logits=True),
        [
            (labels(6), numbers(6, CLASSES)),
            (labels(6, 1), numbers(6, CLASSES)),
            (labels(6).astype("float32"), numbers(6, CLASSES)),
            (labels(4, 3).astype("uint8"), numbers(4, 3, CLASSES)),
            (labels(4, 3, 1).astype("int32"), numbers(4, 3, CLASSES)),
        ],
    ),
    "sparse, probabilities": (
        losses.SparseCategoricalCrossentropy(),
        [(labels(6), probabilities(6, CLASSES)), (labels(4, 3), probabilities(4, 3, CLASSES))],
    ),
    "sparse, not normalised": (
        losses.SparseCategoricalCrossentropy(),
        [(labels(6), 3 * probabilities(6, CLASSES) + 0.1)],
    ),
    "smoothed, logits": (
        SmoothedSparseCategoricalCrossentropy(0.2, from_logits=True),
        [(labels(6), numbers(6, CLASSES)), (labels(4, 3), numbers(4, 3, CLASSES))],
    ),
    "smoothed, probabilities": (
        SmoothedSparseCategoricalCrossentropy(0.2, from_logits=False),
        [(labels(6, 1), probabilities(6, CLASSES))],
    ),
    "categorical, logits": (
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
        [(one_hot(6), numbers(6, CLASSES)), (one_hot(4, 3), numbers(4, 3, CLASSES))],
    ),
    "categorical, probabilities": (
        losses.CategoricalCrossentropy(),
        [(one_hot(6).astype("int64"), probabilities(6, CLASSES))],
    ),
    "binary, logits": (
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        [(bits(6, 1), numbers(6, 1)), (bits(6), numbers(6, 1)), (bits(6, 4), numbers(6, 4))],
    ),
    "binary, probabilities": (
        losses.BinaryCrossentropy(),
        [
            (bits(6, 1), shares(6, 1)),
            (bits(6).astype("bool"), shares(6, 1)),
            (bits(6), shares(6)),
            (bits(4, 3, 2), shares(4, 3, 2)),
        ],
    ),
    "squared error": (
        losses.MeanSquaredError(),
        [
            (numbers(6, 1), numbers(6, 1, seed=1)),
            (numbers(6).astype("float64"), numbers(6, 1, seed=1)),
            (numbers(6, 1), numbers(6, seed=1)),
            (bits(4, 3, 2), numbers(4, 3, 2)),
        ],
    ),
    "absolute error": (losses.MeanAbsoluteError(), [(numbers(6, 2), numbers(6, 2, seed=1))]),
    "huber": (losses.Huber(delta=0.7), [(2 * numbers(6, 2), numbers(6, 2, seed=1))]),
}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight")


def weights_for(y_pred, kind):
    rng = np.random.default_rng(6)
    if kind == "none":
        return None
    shape = y_pred.shape[:-1] if kind == "each" and y_pred.ndim > 1 else y_pred.shape[:1]
    drawn = rng.uniform(0, 2, shape)
    drawn.reshape(-1)[0] = 0.0
    return drawn


def with_gradient(loss, y_true, y_pred, weights, mask):
    predictions = torch.tensor(y_pred, requires_grad=True)
    if mask is not None:
        predictions._keras_mask = torch.tensor(mask)
    given = None if weights is None else torch.tensor(weights)
    value = loss(torch.tensor(y_true), predictions, given)
    value.backward()
    return value.item(), predictions.grad.numpy()


def cases():
    for name, (_, pairs) in CASES.items():
        for index in range(len(pairs)):
            yield pytest.param(name, index, id=f"{name} {index}")


@pytest.mark.parametrize(("name", "index"), list(cases()))
def test_value_and_gradient_are_those_of_keras(name, index):
    loss, pairs = CASES[name]
    y_true, y_pred = pairs[index]
    kinds = ["none", "example"] if y_pred.ndim < 3 else ["none", "each"]
    masks = [None]
    if y_pred.ndim == 3:
        masks.append(np.arange(y_pred.shape[0] * y_pred.shape[1]).reshape(y_pred.shape[:2]) % 3 > 0)
    for reduction in REDUCTIONS:
        loss.reduction = reduction
        native = of_loss(loss)
        assert callable(native)
        for kind in kinds:
            for mask in masks:
                given = y_true, y_pred, weights_for(y_pred, kind), mask
                ours = with_gradient(native, *given)
                theirs = with_gradient(loss, *given)
                assert ours[0] == pytest.approx(theirs[0], rel=2e-6, abs=1e-7)
                np.testing.assert_allclose(ours[1], theirs[1], rtol=2e-5, atol=1e-7)
    loss.reduction = "sum_over_batch_size"


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_against_formulas(weighted):
    w = np.array([0.5, 2.0, 0.0, 1.0, 1.0, 3.0]) if weighted else np.ones(6)
    x, y = numbers(6, CLASSES).astype("float64"), labels(6)
    p = 1 / (1 + np.exp(-x))
    entropy = -np.log(softmax(x)[np.arange(6), y])
    true = bits(6, CLASSES)
    binary = -(true * np.log(p) + (1 - true) * np.log(1 - p)).mean(1)
    error = np.abs(x - true)
    expected = [
        (losses.SparseCategoricalCrossentropy(from_logits=True), y, x, entropy),
        (losses.SparseCategoricalCrossentropy(), y, softmax(x), entropy),
        (losses.CategoricalCrossentropy(from_logits=True), np.eye(CLASSES)[y], x, entropy),
        (losses.BinaryCrossentropy(from_logits=True), true, x, binary),
        (losses.BinaryCrossentropy(), true, p, binary),
        (losses.MeanSquaredError(), true, x, (error**2).mean(1)),
        (losses.MeanAbsoluteError(), true, x, error.mean(1)),
        (
            losses.Huber(),
            true,
            x,
            np.where(error < 1, error**2 / 2, error - 0.5).mean(1),
        ),
    ]
    for loss, y_true, y_pred, values in expected:
        given = torch.tensor(w) if weighted else None
        value = of_loss(loss)(torch.tensor(y_true), torch.tensor(y_pred), given)
        assert float(value) == pytest.approx((values * w).sum() / 6, rel=1e-5)


def test_half_precision_predictions_are_judged_in_float32():
    y_pred = torch.tensor(numbers(6, CLASSES)).to(torch.bfloat16)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    value = of_loss(loss)(torch.tensor(labels(6)), y_pred, None)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(loss(labels(6), y_pred)), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred"),
    [
        ("mean_squared_error", numbers(6, 1), numbers(6, 3)),
        ("sparse_categorical_crossentropy", labels(5), numbers(6, CLASSES)),
        ("categorical_crossentropy", np.ones((6, 1)), np.ones((6, 1))),
    ],
)
def test_odd_shapes_are_left_to_keras(name, y_true, y_pred):
    loss = LossFunctionWrapper(getattr(losses, name))
    assert of_loss(loss)(torch.tensor(y_true), torch.tensor(y_pred), None) is None


class OwnLoss(losses.MeanSquaredError):
    """A user's own, which may do anything before and after."""

    def call(self, y_true, y_pred):
        return 2 * super().call(y_true, y_pred)


@pytest.mark.parametrize(
    "loss",
    [
        OwnLoss(),
        losses.Poisson(),
        losses.SparseCategoricalCrossentropy(ignore_class=0),
        losses.CategoricalCrossentropy(axis=1),
        losses.MeanSquaredError(reduction=None),
        losses.MeanSquaredError(dtype="float64"),
        LossFunctionWrapper(lambda y_true, y_pred: y_pred),
    ],
)
def test_what_is_left_to_keras(loss):
    assert isinstance(of_loss(loss), str)


def test_labels_that_pytorch_would_leave_out_count_as_keras_counts_them():
    y_true, y_pred = np.array([-100, 1, 2]), numbers(3, CLASSES)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    value = of_loss(loss)(torch.tensor(y_true), torch.tensor(y_pred), None)
    assert float(value) == pytest.approx(float(loss(y_true, y_pred)), rel=1e-6)


@pytest.mark.parametrize(
    "regularizer",
    [
        keras.regularizers.L2(0.1),
        keras.regularizers.L1(0.2),
        keras.regularizers.L1L2(0.1, 0.2),
        keras.regularizers.OrthogonalRegularizer(0.1),
        lambda weight: keras.ops.sum(weight) ** 2,
    ],
)
def test_penalties(regularizer):
    weight = keras.Variable(numbers(4, 3))
    weight.regularizer = regularizer
    ours, theirs = penalty(weight).detach(), regularizer(weight).detach()
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
