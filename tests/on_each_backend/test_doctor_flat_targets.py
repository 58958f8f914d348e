"""(N,) against (N, 1): the doctor refuses exactly what Keras computes wrongly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as reference

from slipstream.data import Data, Split
from slipstream.doctor import Case, examine
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts

NUM = 8
RNG = np.random.default_rng(3)
X = RNG.normal(size=(NUM, 3)).astype("float32")
Y = np.array([0, 1, 1, 0, 1, 0, 0, 1], "float32")
KERNEL = np.array([[1.0], [-0.5], [0.8]], "float32")
P = expit(X @ KERNEL)[:, 0]
SHAPES = [(), (1,)]
SIGNS = 2 * Y - 1


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.square(y_true - y_pred)


class OwnMetric(keras.metrics.MeanMetricWrapper):
    def __init__(self) -> None:
        super().__init__(own_function, name="own")


def own_function(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.square(keras.ops.cast(y_true, y_pred.dtype) - y_pred))


SQUARED = float(np.mean((Y - P) ** 2))
ENTROPY = float(reference.log_loss(Y, P))

# name for the facts -> (what Keras takes, the right number)
LOSSES: dict[str, tuple[Any, float]] = {
    "MeanSquaredError": ("mse", SQUARED),
    "MeanAbsoluteError": ("mae", float(np.mean(np.abs(Y - P)))),
    "Huber": ("huber", SQUARED / 2),
    "Poisson": ("poisson", float(np.mean(P - Y * np.log(P)))),
    "Hinge": ("hinge", float(np.mean(np.maximum(0, 1 - SIGNS * P)))),
    "BinaryCrossentropy": ("binary_crossentropy", ENTROPY),
    "function": (own_function, SQUARED),
    "custom": (OwnLoss(), SQUARED),
}
METRICS: dict[str, tuple[Callable[[], Any], float]] = {
    "accuracy": (lambda: "accuracy", reference.accuracy_score(Y, P > 0.5)),
    "BinaryAccuracy": (keras.metrics.BinaryAccuracy, reference.accuracy_score(Y, P > 0.5)),
    "AUC": (lambda: keras.metrics.AUC(num_thresholds=5000), reference.roc_auc_score(Y, P)),
    "Precision": (keras.metrics.Precision, reference.precision_score(Y, P > 0.5)),
    "Recall": (keras.metrics.Recall, reference.recall_score(Y, P > 0.5)),
    "F1Score": (lambda: keras.metrics.F1Score(threshold=0.5), reference.f1_score(Y, P > 0.5)),
    "BinaryCrossentropy": (keras.metrics.BinaryCrossentropy, ENTROPY),
    "MeanSquaredError": (keras.metrics.MeanSquaredError, SQUARED),
    "MeanAbsoluteError": (keras.metrics.MeanAbsoluteError, float(np.mean(np.abs(Y - P)))),
    "RootMeanSquaredError": (keras.metrics.RootMeanSquaredError, SQUARED**0.5),
    "R2Score": (keras.metrics.R2Score, reference.r2_score(Y, P)),
    "Hinge": (keras.metrics.Hinge, float(np.mean(np.maximum(0, 1 - SIGNS * P)))),
    "SquaredHinge": (
        keras.metrics.SquaredHinge,
        float(np.mean(np.maximum(0, 1 - SIGNS * P) ** 2)),
    ),
    "Poisson": (keras.metrics.Poisson, float(np.mean(P - Y * np.log(P)))),
    "custom": (OwnMetric, SQUARED),
    "custom function": (lambda: own_function, SQUARED),
}


def keras_number(target: tuple, output: tuple, loss: Any, metric: Any = None) -> float | None:
    """Return what Keras computes for the loss, or for the metric; None when it raises."""
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(1, activation="sigmoid", use_bias=False)
    outputs = layer(inputs)
    model = keras.Model(inputs, outputs if output else keras.layers.Reshape(())(outputs))
    layer.kernel.assign(KERNEL)
    # Eager, so that TensorFlow does not trace a graph for each of some hundred models.
    eager = keras.backend.backend() == "tensorflow"
    model.compile(loss=loss, metrics=[] if metric is None else [metric], run_eagerly=eager)
    try:
        values = model.evaluate(
            X, Y.reshape(NUM, *target), batch_size=NUM, return_dict=True, verbose=0
        )
    except Exception:  # each backend raises its own kind
        return None
    key = "loss" if metric is None else next(name for name in values if name != "loss")
    return float(np.squeeze(values[key]))


def is_refused(target: tuple, output: tuple, loss: str, *metrics: str, logged: tuple = ()) -> bool:
    facts = ModelFacts(
        (InputFacts("x", (3,), "float32"),),
        (OutputFacts("y", output, "sigmoid", loss, None, metrics),),
        ("loss", *logged),
    )
    split = Split(X, Y.reshape(NUM, *target))
    findings = examine(Case(Data(split, split), facts, Plan().edit({"batch.size": NUM})))
    return any(finding.severity == "error" for finding in findings)


@pytest.mark.parametrize("output", SHAPES)
@pytest.mark.parametrize("target", SHAPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, target: tuple, output: tuple) -> None:
    loss, right = LOSSES[name]
    number = keras_number(target, output, loss)
    is_right = number == pytest.approx(right, rel=1e-4)
    assert is_refused(target, output, name) == (not is_right), (number, right)


@pytest.mark.parametrize("output", SHAPES)
@pytest.mark.parametrize("target", SHAPES)
@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str, target: tuple, output: tuple) -> None:
    make, right = METRICS[name]
    number = keras_number(target, output, "mse", make())
    is_right = number == pytest.approx(right, rel=1e-3)
    if name == "accuracy":
        refused = is_refused(target, output, "MeanSquaredError", logged=("accuracy",))
    else:
        refused = is_refused(target, output, "MeanSquaredError", name.split(maxsplit=1)[0])
    assert refused == (not is_right), (number, right)


def test_the_wrong_numbers_are_those_of_broadcasting() -> None:
    broadcast = float(np.mean((Y[None, :] - P[:, None]) ** 2))
    assert keras_number((), (1,), OwnLoss()) == pytest.approx(broadcast, rel=1e-4)
    assert keras_number((), (1,), "mse", OwnMetric()) == pytest.approx(broadcast, rel=1e-4)
