"""Bad input: one clear message before the first step, on each backend, from the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipstream import doctor, engine
from slipstream.commands.look import launch_for, look
from slipstream.data import to_data
from slipstream.errors import InputError
from slipstream.plan import Plan
from slipstream.tasks import resolve

TEMPLATE = """
import numpy as np
import slipstream

UNITS, ACTIVATION, FEATURES = {units!r}, {activation!r}, {features!r}


def build_model():
    import keras

    return keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(UNITS, activation=ACTIVATION)]
    )


def load_data():
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    labels = np.arange(60) % 3
    y = {y}
    {more}
    return {data}


task = slipstream.Task(
    model=build_model, data=load_data, loss={loss!r}, metrics={metrics!r}, monitor={monitor!r}
)
"""
SPARSE_LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
SPARSE = "sparse_categorical_crossentropy"
HEALTHY = {
    "units": 3,
    "activation": "softmax",
    "features": 4,
    "y": "labels",
    "more": "",
    "data": "(x[:40], y[:40]), (x[40:], y[40:])",
    "loss": SPARSE,
    "metrics": ["accuracy"],
    "monitor": "val_accuracy",
}

# What is wrong, in changes of the healthy task; words that the message must have.
BAD: dict[str, tuple[dict, list[str]]] = {
    "labels from 1": ({"y": "labels + 1"}, ["labels from 1 to 3", "subtract 1"]),
    "labels from -1": ({"y": "labels - 1"}, ["labels from -1 to 1", "add 1"]),
    "labels out of range": ({"y": "labels * 5"}, ["10"]),
    "one-hot with a sparse loss": ({"y": "np.eye(3, dtype='float32')[labels]"}, ["categorical"]),
    "labels with a one-hot loss": ({"loss": "categorical_crossentropy"}, ["sparse"]),
    "softmax and from_logits": ({"loss": SPARSE_LOGITS}, ["softmax", "from_logits"]),
    "logits without from_logits": ({"activation": None}, ["softmax", "from_logits"]),
    "(N,) against (N, 1)": (
        {
            "units": 1,
            "activation": "sigmoid",
            "y": "(labels == 0).astype('float32')",
            "loss": "binary_crossentropy",
            "metrics": [{"class_name": "F1Score", "config": {"threshold": 0.5}}],
            "monitor": "val_loss",
        },
        ["(N,)", "F1Score", "y[..., None]"],
    ),
    "NaN in inputs": ({"more": "x[7, 2] = np.nan"}, ["NaN", "7"]),
    "NaN before we split": (
        {"more": "x[7, 2] = np.nan", "data": "x, y"},
        ["NaN in 1 of", "(row 7 of the data before the split)"],
    ),
    "infinity in targets": (
        {
            "units": 1,
            "activation": None,
            "y": "x[:, :1].copy()",
            "more": "y[3, 0] = np.inf",
            "loss": "mse",
            "metrics": [],
            "monitor": "val_loss",
        },
        ["infinit", "3"],
    ),
    "string labels": ({"y": "np.array(['cat', 'dog', 'owl'])[labels]"}, ["'cat'"]),
    "different lengths": ({"data": "(x[:40], y[:39]), (x[40:], y[40:])"}, ["40", "39"]),
    "empty split": ({"data": "(x, y), (x[:0], y[:0])"}, ["validation"]),
    "negative counts": (
        {
            "units": 1,
            "activation": "softplus",
            "y": "labels - 1",
            "loss": "poisson",
            "metrics": [],
            "monitor": "val_loss",
        },
        ["0 or more for the loss Poisson", "like -1", "14 of 40 examples (rows 0, 3, 6, ...)"],
    ),
    "a rate without activation": (
        {"units": 1, "activation": None, "loss": "poisson", "metrics": [], "monitor": "val_loss"},
        ["rates above 0", "ends in linear", "softplus"],
    ),
    "trained and judged on the same": (
        {"data": "(x[:40], y[:40]), (x[10:50], y[10:50])"},
        ["30 of 40 examples (rows 0, 1, 2, ...), 75 %", "memory"],
    ),
    "weights of zero": (
        {"data": "(x[:40], y[:40], np.zeros(40)), (x[40:], y[40:])"},
        ["0 in all 40", "training"],
    ),
    "a mistyped monitor": ({"monitor": "val_acuracy"}, ["val_acuracy", "val_accuracy"]),
    "wrong feature shape": ({"features": 5}, ["5", "4"]),
    "the order of scikit-learn": (
        {"data": "x[:40], x[40:], y[:40], y[40:]"},
        ["x_train, x_test, y_train, y_test", "40, 20, 40, 20"],
    ),
    "five answers of three classes": (
        {"metrics": ["sparse_top_k_categorical_accuracy"], "monitor": "val_loss"},
        ["at least 5 classes", "got 3 of them"],
    ),
    "a model function that fails": (
        {"activation": "no_such"},
        ["no_such", "in bad_task.py, line 12"],
    ),
}


def write_task(folder: Path, **changes: object) -> Path:
    file = folder / "bad_task.py"
    file.write_text(TEMPLATE.format(**{**HEALTHY, **changes}), encoding="utf-8")
    return file


def look_here(file: Path, plan: Plan | None = None) -> None:
    """Do what a worker does when it is asked to look."""
    task = resolve(str(file))
    data = to_data(task.data())
    _, model = engine.look(task, str(file), data)
    chosen = plan or task.plan
    doctor.refuse(doctor.examine(doctor.Case(data, model, chosen, task.monitor, task.name)))


def run_fit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", "from slipstream.cli import main; main()", "fit", *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert sum(line.startswith("Error SLP-") for line in done.stderr.splitlines()) == 1
    assert "Train:" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_the_healthy_task_passes(tmp_path: Path) -> None:
    look_here(write_task(tmp_path))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_message(name: str, tmp_path: Path) -> None:
    changes, words = BAD[name]
    with pytest.raises(InputError) as caught:
        look_here(write_task(tmp_path, **changes))
    error = caught.value
    assert error.exit_code == 2
    assert all(part.strip() for part in (error.expected, error.came, error.mend))
    for word in words:
        assert word in str(error), str(error)


def test_a_batch_larger_than_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="40 examples"):
        look_here(write_task(tmp_path), Plan().edit({"batch.size": 41}))


# Above, every backend has its say; what a command makes of it is the same for all of them. Each
# costs two fresh processes, and PyTorch is the quickest to start.
once = pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "torch", reason="the same on every backend: run with PyTorch"
)


@pytest.mark.parametrize("name", [pytest.param("labels from 1", marks=once), "wrong feature shape"])
def test_the_command_refuses_bad_input(name: str, backend: str, tmp_path: Path) -> None:
    changes, words = BAD[name]
    write_task(tmp_path, **changes)
    done = run_fit("bad_task.py", "--set", f"runtime.backend={backend}", folder=tmp_path)
    assert_refused(done, *words)


@once
def test_the_command_checks_the_plan_that_is_trained(backend: str, tmp_path: Path) -> None:
    write_task(tmp_path)
    done = run_fit(
        "bad_task.py", "--set", f"runtime.backend={backend}", "--set", "batch.size=41",
        folder=tmp_path,
    )  # fmt: skip
    assert_refused(done, "batch.size = 41")


@once
def test_a_task_that_does_not_import_is_refused(backend: str, tmp_path: Path) -> None:
    (tmp_path / "bad_task.py").write_text("import slipstream\nimport no_such_module\n")
    done = run_fit("bad_task.py", "--set", f"runtime.backend={backend}", folder=tmp_path)
    assert_refused(done, "no_such_module", "line 2")


@once
def test_data_that_cannot_be_loaded_are_refused_with_the_line(backend: str, tmp_path: Path) -> None:
    file = write_task(tmp_path, more="raise RuntimeError('the disk is gone')")
    line = file.read_text().splitlines().index("    raise RuntimeError('the disk is gone')") + 1
    with pytest.raises(InputError, match=f"the disk is gone in bad_task.py, line {line}"):
        look(launch_for(str(file)), backend)
