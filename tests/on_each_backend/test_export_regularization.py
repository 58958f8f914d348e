"""Ejected scripts of plans that penalise and drop: the engine's curves, the engine's layers."""

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
import keras
import numpy as np

from slipstream.task import Task


def build_model():
    layers = keras.layers
    x = keras.Input((6, 6, 1))
    a = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(x))
    b = layers.Conv2D(4, 3, padding="same")(layers.ReLU()(layers.Conv2D(4, 3, padding="same")(a)))
    y = layers.Dense(8, activation="relu")(layers.GlobalAveragePooling2D()(a + b))
    return keras.Model(x, layers.Dense(2)(layers.Dropout(0.1)(y)))


def load_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(160, 6, 6, 1)).astype("float32")
    y = (x[:, :3].mean(axis=(1, 2, 3)) > 0).astype("int64")
    return (x[:96], y[:96]), (x[96:], y[96:])


task = Task(
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
)
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str):
    """Write the task, train it as a plan says by a script, and return its curves."""
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "images.py"
    task.write_text(TASK, encoding="utf-8")

    def run(changes):
        jit = "off" if backend == "tensorflow" else "auto"
        own = {"runtime.backend": backend, "runtime.jit": jit, "duration.epochs": 3}
        plan = Plan().edit({**own, "optimizer.name": "sgd", "schedule.peak": 0.3, **changes})
        (tmp_path / "train.py").write_text(eject(plan, str(task)), encoding="utf-8")
        runpy.run_path("train.py", run_name="__main__")
        with (tmp_path / "history.csv").open(encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        return resolve(str(task)), plan, rows

    return run


def test_penalties_of_a_script_follow_the_gap_as_the_engines_do(ran) -> None:
    changes = {
        "regularization.l1": 1e-3,
        "regularization.l2": 1e-3,
        "regularization.adaptive_gap": 0.3,
        "regularization.adaptive_step": 3.0,
        "regularization.dropout": 0.0,
    }
    task, plan, rows = ran(changes)
    points = [point.values for point in train(task, plan).points]
    assert len(points) == len(rows) == 3
    for mine, other in zip(points, rows, strict=True):
        for name in ("loss", "val_loss", "penalty_factor"):
            assert other[name] == pytest.approx(mine[name], rel=2e-3)
        assert other["penalty_gap"] == pytest.approx(mine["penalty_gap"], abs=5e-3)
    assert len({point["penalty_factor"] for point in points}) == 3


def test_a_script_drops_what_the_engine_drops_and_saves_plain_keras(ran) -> None:
    import keras

    changes = {
        "regularization.spatial_dropout": 0.1,
        "regularization.dropout": 0.3,
        "regularization.stochastic_depth": 0.2,
        "regularization.drop_connect": 0.2,
        "duration.epochs": 1,
    }
    _, _, rows = ran(changes)
    assert np.isfinite(rows[0]["val_loss"])
    model = keras.saving.load_model("model.keras", compile=False)
    rates = {
        type(layer).__name__ + str(layer.noise_shape or ""): layer.rate
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    }
    assert rates == {
        "SpatialDropout2D": 0.1,
        "Dropout": 0.3,
        "Dropout(None, 1, 1, 1)": 0.2,
    }


@pytest.mark.parametrize(
    ("values", "mode", "best"),
    [((np.nan, 2.0, 1.0, np.nan, 3.0), "min", 2), ((np.nan, 0.1, 0.5, 0.4, np.nan), "max", 2)],
)
def test_a_first_nan_is_never_the_best_of_a_script(values, mode, best) -> None:
    import keras

    from slipstream.export._callbacks_part import EARLY_STOPPING

    names = {"keras": keras, "np": np}
    exec(EARLY_STOPPING.format(worst="np.inf" if mode == "min" else "-np.inf"), names)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    callback = names["EarlyStopping"]("x", mode=mode, patience=2, restore_best_weights=True)
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.set_weights([np.full((1, 1), epoch, "float32")])
        callback.on_epoch_end(epoch, {"x": value})
        assert model.stop_training == (epoch == 4)
    callback.on_train_end()
    assert model.get_weights()[0] == best == callback.best_epoch
