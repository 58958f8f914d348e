"""Ejected scripts train as the engine does: same examples, same rates, same curves."""

from __future__ import annotations

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slipstream.data import Data, to_data
from slipstream.engine import train
from slipstream.export import eject
from slipstream.plan import Plan
from slipstream.tasks import resolve
from slipstream.tasks.hand_over import hand_over

SHORT = {"batch.size": 128, "duration.epochs": 2, "schedule.peak": 3e-3, "seeds.seed": 3}
# Updates agree to rounding; two epochs of training let it grow to this.
LOSS_TOLERANCE = 2e-3
# One example of 360 more or less may flip.
ACCURACY_TOLERANCE = 1.01 / 360

PLANS = {
    "adamw, warm-up and cosine, clipping, l2": {
        "optimizer.name": "adamw",
        "optimizer.weight_decay": 0.05,
        "schedule.name": "cosine",
        "schedule.warmup": 0.2,
        "schedule.floor": 0.01,
        "clipping.global_norm": 1.0,
        "regularization.l2": 1e-3,
    },
    "sgd, one cycle, shifts and mirrors, several evaluations, averaged weights": {
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.nesterov": True,
        "optimizer.ema": 0.8,
        "schedule.name": "one_cycle",
        "schedule.warmup": 0.3,
        "schedule.peak": 0.05,
        "augmentation.shift": 1,
        "augmentation.flip": True,
        "duration.evaluations_per_epoch": 2,
    },
    "accumulation, step decay, dropped remainder, no best weights": {
        "batch.size": 32,
        "batch.accumulation": 3,
        "batch.remainder": "drop",
        "schedule.name": "step_decay",
        "schedule.decay_every": 0.25,
        "schedule.decay_rate": 0.5,
        "duration.restore_best": False,
    },
    "schedule-free, several updates a call": {
        "optimizer.name": "schedule_free_adamw",
        "runtime.steps_per_execution": 4,
    },
    "muon, linear": {
        "optimizer.name": "muon",
        "optimizer.weight_decay": 0.01,
        "schedule.name": "linear",
        "schedule.warmup": 0.1,
    },
    "averaged weights, early stop": {
        "optimizer.name": "rmsprop",
        "optimizer.ema": 0.9,
        "duration.patience": 1,
    },
    "a rewritten model": {
        "architecture.width": 0.5,
        "architecture.separable": "nearest",
        "architecture.batch_norm": True,
        "architecture.init": "lsuv",
    },
    "mixed and changed in every other way": {
        "precision.tf32": "on",
        "batch.rate_scaling": "sqrt",
        "batch.rate_base": 64,
        "augmentation.resized_crop": 0.5,
        "augmentation.flip_vertical": True,
        "augmentation.rand_ops": 1,
        "augmentation.augmix": 2,
        "augmentation.erase": 0.3,
        "augmentation.mixup": 0.2,
        "augmentation.cutmix": 1.0,
    },
    "averaged weights of the last update": {
        "optimizer.ema": 0.9,
        "duration.restore_best": False,
    },
}


@pytest.fixture(scope="module")
def digits() -> Data:
    """The digits, loaded once."""
    return to_data(resolve("digits").data())


@pytest.mark.parametrize("name", PLANS)
def test_a_script_has_the_curves_of_the_engine(
    name: str, backend: str, digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(PLANS[name], backend)
    task = resolve("digits")
    record = train(task, plan, data=digits, evaluate_test=True)
    assert record.failure is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(eject(plan, "digits"), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    _compare([point.values for point in record.points], _history(tmp_path))


def test_a_script_with_keras_own_loop_learns_as_much(
    backend: str, digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keras draws its own order: the runs are alike, not the same.
    plan = _plan({"runtime.loop": "keras", "schedule.name": "cosine"}, backend)
    record = train(resolve("digits"), plan, data=digits)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(eject(plan, "digits"), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    for point, row in zip(record.points, _history(tmp_path), strict=True):
        assert row["val_loss"] == pytest.approx(point.values["val_loss"], rel=0.15)


@pytest.mark.parametrize(
    "changes",
    [
        {"regularization.label_smoothing": 0.2},
        {"loss.name": "focal", "regularization.label_smoothing": 0.1},
    ],
    ids=["smoothed", "focal"],
)
def test_losses_of_the_plan_leave_the_watched_loss_alone(
    changes: dict, backend: str, digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tmp_path / "by_loss.py"
    task.write_text(WATCHES_LOSS, encoding="utf-8")
    plan = _plan(changes, backend)
    record = train(resolve(str(task)), plan, data=digits)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(eject(plan, str(task)), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    history = [{**row, "val_loss": row["val_task_loss"]} for row in _history(tmp_path)]
    _compare([point.values for point in record.points], history)
    last = record.points[-1].values
    assert history[-1]["val_f1_macro"] == pytest.approx(last["val_f1_macro"], abs=0.01)


def test_a_handed_over_model_starts_from_its_weights(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    keras.utils.set_random_seed(11)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    folder = hand_over(model, x, y, sample_weight=np.abs(x[:, 0]), folder=tmp_path / "task")
    plan = Plan().edit({"runtime.backend": backend, "duration.epochs": 2, "optimizer.name": "lion"})
    record = train(resolve(str(folder)), plan)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(eject(plan, str(folder)), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    for point, row in zip(record.points, _history(tmp_path), strict=True):
        assert row["val_loss"] == pytest.approx(point.values["val_loss"], rel=LOSS_TOLERANCE)
        assert row["val_mae"] == pytest.approx(point.values["val_mae"], rel=LOSS_TOLERANCE)


def test_inserted_dropout_trains_and_is_in_the_saved_model(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    plan = _plan({"regularization.dropout": 0.25, "duration.epochs": 1}, backend)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(eject(plan, "digits"), encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    model = keras.saving.load_model("model.keras", compile=False)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25]
    assert isinstance(model.layers[-2], keras.layers.Dropout)
    assert np.isfinite(_history(tmp_path)[0]["val_loss"])


@pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "torch",
    reason="all scripts run on all backends above, and this one imports the same on each",
)
def test_a_script_runs_in_a_process_that_has_no_slipstream(backend: str, tmp_path: Path) -> None:
    plan = _plan({"precision.policy": "mixed_bfloat16"}, backend)
    (tmp_path / "train.py").write_text(eject(plan, "digits"), encoding="utf-8")
    without = "import runpy, sys; sys.modules['slipstream'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", without + "runpy.run_path('train.py', run_name='__main__')"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'accuracy'" in done.stdout.splitlines()[-1]
    assert (tmp_path / "model.keras").is_file()
    assert len(_history(tmp_path)) == plan.duration.epochs


WATCHES_LOSS = """
from slipstream.task import Task
from slipstream.tasks.digits import build_model, load_data

task = Task(
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy", "f1_macro"],
    monitor="val_loss",
)
"""


def _plan(changes: dict, backend: str) -> Plan:
    own = {"runtime.backend": backend}
    if backend == "torch" and changes.get("runtime.loop") == "keras":
        own["runtime.steps_per_execution"] = 1
    return Plan().edit({**SHORT, **own, **changes})


def _history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _compare(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert other["val_loss"] == pytest.approx(mine["val_loss"], rel=LOSS_TOLERANCE)
        assert abs(other["val_accuracy"] - mine["val_accuracy"]) <= ACCURACY_TOLERANCE
