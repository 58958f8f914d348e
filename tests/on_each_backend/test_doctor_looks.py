"""The doctor on facts that were read off real models, for every loss that Keras knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from slipstream.data import Data, Split
from slipstream.doctor import Case, examine
from slipstream.doctor._losses import BINARY, ELEMENTWISE, SPARSE, with_class_names
from slipstream.engine.look import model_facts
from slipstream.plan import Plan
from slipstream.task import Task

NUM = 12
LABELS = np.arange(NUM) % 3
BITS = np.arange(NUM) % 2
X = np.linspace(-1, 1, NUM * 4, dtype="float32").reshape(NUM, 4)
NAMES = (
    "mse", "mae", "mape", "msle", "huber", "log_cosh", "poisson", "kl_divergence", "hinge",
    "squared_hinge", "categorical_hinge", "cosine_similarity", "binary_crossentropy",
    "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
)  # fmt: skip


def dense(units: int, activation: str | None = None) -> Callable[[], Any]:
    def build() -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])

    return build


def then(units: int, *more: Callable[[], Any]) -> Callable[[], Any]:
    def build() -> Any:
        layers = [keras.Input((4,)), keras.layers.Dense(units), *(layer() for layer in more)]
        return keras.Sequential(layers)

    return build


def softmax_layer() -> Any:
    return keras.layers.Activation("softmax")


def scaled_by_a_layer() -> Any:
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Rescaling(1 / 255), keras.layers.Dense(1)]
    )


def scaled_by_an_operation() -> Any:
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(1)(x / 255.0))


def look_at_bytes(build: Callable[[], Any]) -> Case:
    case = look(build, "mse", BITS * 0.5)
    x = np.arange(NUM * 8, dtype="uint8").reshape(2, NUM, 4) * 2
    return replace(case, data=Data(*(Split(part, BITS * 0.5) for part in x)))


def own_metric(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_true - y_pred)


def look(build: Callable[[], Any], loss: Any, y: Any, *metrics: Any) -> Case:
    task = Task(model=build, data=lambda: None, loss=loss, metrics=metrics)
    data = Data(Split(X, y), Split(X + 9, y))
    return Case(data, model_facts(task, build(), data), Plan().edit({"batch.size": NUM}))


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_known_by_name_function_and_object(name: str) -> None:
    function = keras.losses.get(name)
    class_name = next(
        known
        for known in SPARSE | ELEMENTWISE
        if known.lower() == function.__name__.replace("_", "")
    )
    for loss in (name, function, getattr(keras.losses, class_name)()):
        case = with_class_names(look(dense(3), loss, LABELS))
        assert case.model.outputs[0].loss == class_name


SPARSE_LOSS = "sparse_categorical_crossentropy"
LOGITS_LOSS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
ONE_HOT_LOSS = "categorical_crossentropy"

HEALTHY = {
    "classes": lambda: look(dense(3, "softmax"), SPARSE_LOSS, LABELS, "accuracy"),
    "classes, activation apart": lambda: look(then(3, softmax_layer), SPARSE_LOSS, LABELS),
    "classes, softmax layer": lambda: look(then(3, keras.layers.Softmax), SPARSE_LOSS, LABELS),
    "logits": lambda: look(dense(3), LOGITS_LOSS, LABELS, "accuracy"),
    "one-hot": lambda: look(dense(3, "softmax"), ONE_HOT_LOSS, np.eye(3)[LABELS], "accuracy"),
    "binary": lambda: look(dense(1, "sigmoid"), "binary_crossentropy", BITS, "accuracy", "auc"),
    "regression": lambda: look(dense(1), "mse", BITS * 0.5, "mae"),
    "counts": lambda: look(dense(1, "exponential"), "poisson", LABELS),
    "bytes, scaled by a layer": lambda: look_at_bytes(scaled_by_a_layer),
    "bytes, scaled by an operation": lambda: look_at_bytes(scaled_by_an_operation),
}

BROKEN = {
    "sparse_labels": lambda: look(dense(3, "softmax"), SPARSE_LOSS, LABELS + 1),
    "probabilities": lambda: look(dense(3), SPARSE_LOSS, LABELS),
    "prediction_domain": lambda: look(dense(1), "poisson", LABELS),
    "target_domain": lambda: look(dense(1, "exponential"), "poisson", LABELS - 1),
    "reachable_targets": lambda: look(dense(1, "sigmoid"), "mse", LABELS),
    "unscaled_inputs": lambda: look_at_bytes(dense(1)),
    "one_unit": lambda: look(dense(1, "softmax"), "binary_crossentropy", BITS),
    "binary_labels": lambda: look(dense(1, "sigmoid"), "binary_crossentropy", BITS + 1),
    "target_form": lambda: look(dense(3, "softmax"), ONE_HOT_LOSS, LABELS),
    "target_shapes": lambda: look(dense(1), "huber", np.eye(2)[BITS]),
    "flat_targets": lambda: look(dense(1), "mse", BITS * 0.5, own_metric),
    "scalar_outputs": lambda: look(
        then(1, lambda: keras.layers.Activation("sigmoid"), lambda: keras.layers.Reshape(())),
        "binary_crossentropy", BITS, "accuracy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_pass(name: str) -> None:
    assert examine(HEALTHY[name]()) == ()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_do_not(name: str) -> None:
    assert {finding.check for finding in examine(BROKEN[name]())} == {name}


@pytest.mark.parametrize(
    "metric",
    ["accuracy", keras.metrics.BinaryAccuracy(), keras.metrics.BinaryAccuracy(threshold=0.0)],
)
def test_an_accuracy_of_logits_is_told_exactly_where_it_is_wrong(metric: Any) -> None:
    wrong = metric == "accuracy" or metric.threshold == 0.5
    model = dense(1)()
    model.set_weights([np.ones((4, 1)), np.zeros(1)])
    logits, y = X.sum(axis=1), (X.sum(axis=1) > 0).astype(int)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=[metric])
    logged = model.evaluate(X, y, verbose=0, return_dict=True)
    accuracy = logged["accuracy" if metric == "accuracy" else "binary_accuracy"]
    assert accuracy == pytest.approx(np.mean((logits > wrong / 2) == y))
    assert (accuracy < 1) == wrong
    found = {finding.check for finding in examine(look(dense(1), loss, y, metric))}
    assert found == ({"accuracy_of_logits"} if wrong else set())


@pytest.mark.parametrize(
    ("metric", "top_k"),
    [
        ("sparse_top_k_categorical_accuracy", 5),
        (keras.metrics.SparseTopKCategoricalAccuracy(k=2), 2),
        ("accuracy", None),
        (own_metric, None),
    ],
)
def test_a_top_k_accuracy_of_too_few_classes_is_refused(metric: Any, top_k: int | None) -> None:
    case = look(dense(3, "softmax"), SPARSE_LOSS, LABELS, metric)
    assert case.model.outputs[0].top_k == top_k
    assert [one.check for one in examine(case)] == ["top_k"] * (top_k == 5)


@pytest.mark.parametrize("loss", [SPARSE_LOSS, ONE_HOT_LOSS])
def test_sigmoids_of_classes_are_another_loss_on_each_backend(loss: str, backend: str) -> None:
    y = LABELS if loss == SPARSE_LOSS else np.eye(3)[LABELS]
    model = dense(3, "sigmoid")()
    model.compile(loss=loss)
    kernel, bias = model.get_weights()
    logits = X @ kernel + bias
    answers = softmax(logits, axis=1) if backend == "tensorflow" else expit(logits)
    picked = answers[np.arange(NUM), LABELS] / answers.sum(axis=1)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(-np.log(picked).mean(), rel=1e-4)
    found = examine(look(dense(3, "sigmoid"), loss, y))
    assert [one.check for one in found] == ["sigmoid_of_classes"]


def test_the_accuracy_of_measured_values_is_none() -> None:
    values = X.sum(axis=1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(loss="mse", metrics=["accuracy"])
    assert model.evaluate(X, values, verbose=0)[1] == 0
    found = examine(look(dense(1), "mse", values, "accuracy"))
    assert [one.check for one in found] == ["accuracy_of_values"]


def test_the_families_do_not_overlap() -> None:
    assert not SPARSE & ELEMENTWISE
    assert BINARY <= ELEMENTWISE


def test_bytes_are_fine_where_the_model_scales_them() -> None:
    def model(scale: Callable[[Any], Any]) -> Callable[[], Any]:
        def build() -> Any:
            inputs = keras.Input((4,))
            return keras.Model(inputs, keras.layers.Dense(1)(scale(inputs)))

        return build

    draw = np.random.default_rng(0)
    data = Data(*(Split(draw.integers(0, 256, (NUM, 4), np.uint8), BITS) for _ in range(2)))
    found = []
    for scale in (lambda x: x, keras.layers.Rescaling(1 / 255), lambda x: x / 255.0):
        task = Task(model=model(scale), data=lambda: None, loss="mse")
        facts = model_facts(task, task.model(), data)
        case = Case(data, facts, Plan().edit({"batch.size": NUM}))
        found.append([finding.check for finding in examine(case)])
    assert found == [["unscaled_inputs"], [], []]


@pytest.mark.parametrize(
    ("units", "loss", "metric", "is_refused"),
    [
        (1, "BinaryCrossentropy", "precision", False),
        (1, "BinaryCrossentropy", keras.metrics.Precision(), True),
        (1, "BinaryCrossentropy", keras.metrics.Precision(thresholds=0.7), False),
        (1, "BinaryCrossentropy", keras.metrics.RecallAtPrecision(0.5), True),
        (1, "BinaryCrossentropy", keras.metrics.AUC(), True),
        (1, "BinaryCrossentropy", "auc", False),
        (3, "CategoricalCrossentropy", "recall", True),
        (3, "CategoricalCrossentropy", keras.metrics.Recall(top_k=1), False),
    ],
)
def test_thresholds_of_logits(units: int, loss: str, metric: Any, is_refused: bool) -> None:
    of_logits = getattr(keras.losses, loss)(from_logits=True)
    y = np.eye(3, dtype="float32")[LABELS] if units == 3 else (LABELS % 2)[:, None]
    found = examine(look(dense(units), of_logits, y, metric))
    assert [one.check for one in found] == ["threshold_of_logits"] * is_refused


@pytest.mark.parametrize("metric", ["auc", "recall", "categorical_accuracy", "mse", "F1Score"])
def test_metrics_that_cannot_read_labels_are_refused(metric: str) -> None:
    found = examine(look(dense(3, "softmax"), SPARSE_LOSS, LABELS, metric))
    assert [one.check for one in found] == ["metric_targets"]
