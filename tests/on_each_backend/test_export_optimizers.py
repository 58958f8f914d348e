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
}


@pytest.mark.parametrize("name", PLANS)
def test_a_script_has_the_curves_of_the_engine(
    name: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tmp_path / "small_task.py"
    task.write_text(TASK, encoding="utf-8")
    jit = {"runtime.jit": "off"} if backend == "tensorflow" else {}
    plan = Plan().edit({"runtime.backend": backend, **jit, **SHORT, **PLANS[name]})
    record = train(resolve(str(task)), plan)
    assert record.failure is None
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(eject(plan, str(task)), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    with Path("history.csv").open(encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == len(record.points) == 4
    for point, row in zip(record.points, rows, strict=True):
        for key in ("loss", "val_loss"):
            np.testing.assert_allclose(row[key], point.values[key], rtol=2e-3)
