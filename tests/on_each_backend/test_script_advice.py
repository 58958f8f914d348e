"""Each row of the table of advice, against the real error on each backend."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from slipstream.script.advice import ROWS, advice_for

ALL = ("tensorflow", "jax", "torch")
X = np.ones((8, 4), "float32")
CLASSES = np.arange(8) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BACKEND = os.environ["KERAS_BACKEND"]


def model(units: int = 3, *, optimizer: Any = "sgd", loss: Any = "mse", **more: Any) -> Any:
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, "softmax")])
    made.compile(optimizer, loss, **more)
    return made


def fit(made: Any, y: Any = ONE_HOT, **more: Any) -> Any:
    return made.fit(X, y, verbose=0, **more)


def schedule() -> Any:
    return keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)


class WithStep(keras.Model):
    """A model whose train_step takes what its backend hands it."""

    def __init__(self, step: Callable[..., Any]) -> None:
        super().__init__()
        self.step = step
        self.dense = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, *given: Any) -> Any:
        return self.step(self, *given)


def step(function: Callable[..., Any]) -> Callable[[], Any]:
    def run() -> None:
        made = WithStep(function)
        made.compile(keras.optimizers.SGD(schedule()), "mse")
        fit(made)

    return run


def read_in_numpy(self: Any, *given: Any) -> Any:
    x = given[-1][0]
    return np.asarray(x if BACKEND == "jax" else self(x))


class Branching(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x if keras.ops.mean(x) > 0 else -x


class ForAnotherBackend(keras.Sequential):
    if BACKEND == "jax":

        def train_step(self, data: Any) -> Any:
            return {}

    else:

        def train_step(self, state: Any, data: Any) -> Any:
            return {}, state


def with_layer(layer: Any) -> None:
    inputs = keras.Input((4,))
    made = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
    made.compile("sgd", "mse")
    fit(made)


def other_backends_step() -> None:
    made = ForAnotherBackend([keras.Input((4,)), keras.layers.Dense(3)])
    made.compile("sgd", "mse")
    fit(made)


def set_over_a_schedule() -> None:
    made = model(optimizer=keras.optimizers.SGD(schedule()))
    fit(made, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1)])


def text_labels() -> None:
    fit(model(), np.array(["a", "b"] * 4, dtype=object))


def tf_keras_name(name: str) -> Callable[[], Any]:
    """Reach for a name below keras as a script does."""

    def run() -> Any:
        value: Any = keras
        for part in name.split("."):
            value = getattr(value, part)
        return value()

    return run


# What is done; a word of the advice; the backends on which it fails.
CASES: dict[str, tuple[Callable[[], Any], str, tuple[str, ...]]] = {
    "the rate is no function": (
        step(lambda self, *given: self.optimizer.learning_rate(self.optimizer.iterations)),
        "not a function of the step",
        ALL,
    ),
    "if on a tensor": (lambda: with_layer(Branching()), "keras.ops.where", ("tensorflow", "jax")),
    "numpy on a tensor": (
        step(read_in_numpy), "convert_to_numpy", ALL
    ),
    "another backend's step": (other_backends_step, "another backend", ALL),
    "compiled_loss": (
        step(lambda self, *given: self.compiled_loss(1, 2)), "self.compute_loss", ("jax", "torch")
    ),
    "compiled_metrics": (
        step(lambda self, *given: self.compiled_metrics.update_state(1, 2)),
        "update_state",
        ("jax", "torch"),
    ),
    "a schedule is not settable": (set_over_a_schedule, "set another schedule", ALL),
    "steps_per_execution": (
        lambda: fit(model(steps_per_execution=2), batch_size=2), "steps_per_execution", ("torch",)
    ),
    "from_logits to compile": (lambda: model(from_logits=True), "belongs to the loss", ALL),
    "one-hot labels, sparse loss": (
        lambda: fit(model(loss="sparse_categorical_crossentropy")),
        "'categorical_crossentropy'",
        ALL,
    ),
    "class numbers, one-hot loss": (
        lambda: fit(model(loss="categorical_crossentropy"), CLASSES),
        "'sparse_categorical_crossentropy'",
        ALL,
    ),
    "labels out of range": (
        lambda: fit(model(loss="sparse_categorical_crossentropy"), CLASSES + 1),
        "count from 0",
        ("tensorflow", "torch"),
    ),
    "text labels": (text_labels, "number the labels", ALL),
    "optimizer.lr": (lambda: model().optimizer.lr, "optimizer.learning_rate", ALL),
    "minimize": (lambda: model().optimizer.minimize(None, []), "optimizer.apply", ALL),
    "lr=": (lambda: keras.optimizers.Adam(lr=0.1), "learning_rate=1e-3", ALL),
    "decay=": (lambda: keras.optimizers.Adam(decay=0.1), "InverseTimeDecay", ALL),
    "legacy": (tf_keras_name("_tf_keras.keras.optimizers.legacy.Adam"), "drop `.legacy`", ALL),
    "fit_generator": (lambda: model().fit_generator(None), "generators", ALL),
    "predict_classes": (lambda: model().predict_classes(X), "argmax", ALL),
    "workers": (lambda: fit(model(), workers=2), "PyDataset", ALL),
    "experimental_run_tf_function": (
        lambda: model(experimental_run_tf_function=False), "leave it out", ALL
    ),
    "period": (
        lambda: keras.callbacks.ModelCheckpoint("a.keras", period=2), "save_freq", ALL
    ),
    "weights=": (
        lambda: keras.layers.Dense(3, weights=[np.ones((4, 3)), np.ones(3)]), "set_weights", ALL
    ),
    "keras.backend": (tf_keras_name("backend.mean"), "keras.ops", ALL),
    "old places": (
        lambda: importlib.import_module("keras.layers.core"), "a place of Keras 2", ALL
    ),
    "saving": (lambda: model().save("a_folder"), "name.keras", ALL),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if BACKEND in case[2]])
def test_the_real_error_gets_its_advice(name: str) -> None:
    do, word, _ = CASES[name]
    with pytest.raises(Exception) as caught:
        do()
    assert word in (advice_for(caught.value) or f"none for {caught.value!r}")


def test_every_row_has_a_case() -> None:
    """No row stands that no error of this table comes to, on one backend or another."""
    words = [word for _, word, _ in CASES.values() if word]
    # What concerns the backend itself needs an import of its own: below, and with the command.
    without = [row.advice for row in ROWS if not any(word in row.advice for word in words)]
    assert [advice.split()[0] for advice in without] == ["That", "KERAS_BACKEND"]


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "jax" if BACKEND != "jax" else "torch"
    monkeypatch.delitem(sys.modules, missing, raising=False)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(missing)
    assert "--backend" in (advice_for(caught.value) or "")
