"""Ejected scripts with optimizers that Keras lacks train as the engine does."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import numpy as np
import pytest

from slipstream.engine import train
from slipstream.export import eject
from slipstream.plan import Plan
from slipstream.tasks import resolve

TASK = """
import numpy as np

from slipstream import Task


def model():
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(8, name="first"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(3, name="last"),
        ]
    )


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 5)).astype("float32")
    y = np.argmax(x[:, :3], axis=1)
    return (x[:60], y[:60]), (x[60:], y[60:])


def loss(y_true, y_pred):
    import keras

    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


TASK = Task(model=model, data=data, loss=loss, monitor="val_loss")
"""
SHORT = {
    "batch.size": 16,
    "duration.epochs": 4,
    "duration.restore_best": False,
    "schedule.peak": 0.03,
    "optimizer.weight_decay": 0.1,
}
PLANS = {
    "groups, slow weights, snapshots": {
        "optimizer.name": "lars",
        "optimizer.momentum": 0.9,
        "groups.layer_decay": 0.5,
        "groups.pattern": "last/bias",
        "groups.rate": 0.1,
        "optimizer.lookahead": 3,
        "optimizer.swa": 0.5,
        "schedule.name": "cosine",
    },
    "averages with statistics of their own": {"optimizer.name": "nadam", "optimizer.ema": 0.8},
    "schedule-free": {"optimizer.name": "schedule_free_adamw", "schedule.warmup": 0.2},
    "momentum that cycles, a running bound": {
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.9,
        "schedule.name": "one_cycle",
        "schedule.warmup": 0.3,
        "schedule.momentum_low": 0.5,
        "clipping.quantile": 0.5,
        "clipping.window": 4,
    },
    # Nothing is better by so much: each evaluation after the first lowers the rate.
    "bounds by unit, plateaus on a cosine": {
        "optimizer.name": "adafactor",
        "clipping.adaptive": 0.02,
        "schedule.name": "cosine",
        "schedule.warmup": 0.1,
        "schedule.plateau_patience": 1,
        "schedule.plateau_factor": 0.3,
        "schedule.plateau_min_delta": 10.0,
    },
    "two gradients an update": {
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.sam": 0.1,
        "batch.size": 15,
    },
    "two phases": {
        "optimizer.name": "adam",
        "optimizer.ema": 0.5,
        "schedule.name": "cosine",
        "transfer.frozen": "2 epochs",
        "transfer.base": "first",
        "transfer.rate": 0.3,
        "duration.restore_best": True,
    },
    "weights of classes, one operation at a time": {
        "loss.class_weights": "balanced",
        "runtime.eager": True,
    },
    "plateaus on a constant rate": {
        "optimizer.name": "sgd",
        "schedule.plateau_patience": 1,
        "schedule.plateau_factor": 0.1,
        "schedule.plateau_cooldown": 1,
        "schedule.plateau_min_delta": 10.0,
    },
}


# A loss as a class of the task's own file, with a setting of its own.
OWN_LOSS = """
import keras


@keras.saving.register_keras_serializable("small_task")
class Crossed(keras.losses.Loss):
    def __init__(self, weight=1.0, name="crossed", **kwargs):
        super().__init__(name=name, **kwargs)
        self.weight = weight

    def call(self, y_true, y_pred):
        found = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return self.weight * found

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


TASK = Task(model=model, data=data, loss=Crossed(weight=2.0), monitor="val_loss")
"""


TWO_OUTPUTS = """
import numpy as np

from slipstream import Task


def model():
    import keras

    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(hidden)
    return keras.Model(inputs, {"kind": kind, "size": keras.layers.Dense(1, name="size")(hidden)})


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 5)).astype("float32")
    y = {"kind": np.argmax(x[:, :3], axis=1), "size": 20 * x[:, :1]}
    part = lambda rows: (x[rows], {name: array[rows] for name, array in y.items()})
    return part(slice(60)), part(slice(60, None))


TASK = Task(
    model=model,
    data=data,
    loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
    loss_weights={"kind": 1.0, "size": 0.1},
    monitor="val_kind_loss",
)
"""


def test_a_script_learns_the_weights_of_losses_as_the_engine_does(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    changes = {"loss.weights": "learned", "batch.size": 15}
    keys = ("loss", "kind_loss", "size_loss", "val_kind_loss", "val_size_loss")
    rows = _compare(TWO_OUTPUTS, changes, backend, tmp_path, monkeypatch, keys)
    assert rows[0]["loss"] != pytest.approx(rows[0]["kind_loss"] + 0.1 * rows[0]["size_loss"])
    model = keras.saving.load_model("model.keras", compile=False)
    assert np.isfinite(model.predict(np.ones((2, 5)), verbose=0)["size"]).all()


@pytest.mark.parametrize("name", PLANS)
def test_a_script_has_the_curves_of_the_engine(
    name: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compare(TASK, PLANS[name], backend, tmp_path, monkeypatch)


def test_a_loss_of_the_tasks_own_class_is_trained_on_and_written_out(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, _, _ = TASK.partition("def loss(")
    # At a rate of nearly nothing the weights stay, and the loss is twice the plain one.
    still = {"schedule.peak": 1e-30, "optimizer.name": "sgd"}
    twice = _compare(head + OWN_LOSS, still, backend, tmp_path, monkeypatch)
    once = train(resolve(_written(tmp_path, "plain_task.py", TASK)), _plan(backend, still))
    assert twice[0]["val_loss"] == pytest.approx(2 * once.points[0].values["val_loss"], rel=1e-4)


def _plan(backend: str, changes: dict) -> Plan:
    jit = {"runtime.jit": "off"} if backend == "tensorflow" else {}
    return Plan().edit({"runtime.backend": backend, **jit, **SHORT, **changes})


def _written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def _compare(
    source: str,
    changes: dict,
    backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: tuple[str, ...] = ("loss", "val_loss"),
) -> list[dict[str, float]]:
    task, plan = _written(tmp_path, "small_task.py", source), _plan(backend, changes)
    record = train(resolve(task), plan)
    assert record.failure is None
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(eject(plan, task), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    with Path("history.csv").open(encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == len(record.points) == 4
    for point, row in zip(record.points, rows, strict=True):
        for key in keys:
            np.testing.assert_allclose(row[key], point.values[key], rtol=2e-3)
    return rows
