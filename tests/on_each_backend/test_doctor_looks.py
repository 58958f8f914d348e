"""The doctor on facts that were read off real models, for every loss that Keras knows by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

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


def own_metric(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_true - y_pred)


def look(build: Callable[[], Any], loss: Any, y: Any, *metrics: Any) -> Case:
    task = Task(model=build, data=lambda: None, loss=loss, metrics=metrics)
    split = Split(X, y)
    data = Data(split, split)
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
}

BROKEN = {
    "sparse_labels": lambda: look(dense(3, "softmax"), SPARSE_LOSS, LABELS + 1),
    "probabilities": lambda: look(dense(3), SPARSE_LOSS, LABELS),
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


def test_the_families_do_not_overlap() -> None:
    assert not SPARSE & ELEMENTWISE
    assert BINARY <= ELEMENTWISE


def test_bytes_are_fine_where_the_model_scales_them() -> None:
    def model(scale: Callable[[Any], Any]) -> Callable[[], Any]:
        def build() -> Any:
            inputs = keras.Input((4,))
            return keras.Model(inputs, keras.layers.Dense(1)(scale(inputs)))

        return build

    split = Split(np.full((NUM, 4), 200, np.uint8), BITS)
    found = []
    for scale in (lambda x: x, keras.layers.Rescaling(1 / 255), lambda x: x / 255.0):
        task = Task(model=model(scale), data=lambda: None, loss="mse")
        facts = model_facts(task, task.model(), Data(split, split))
        case = Case(Data(split, split), facts, Plan().edit({"batch.size": NUM}))
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
