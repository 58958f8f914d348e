"""Real scripts through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipstream.record import read_record

SLIPSTREAM = (sys.executable, "-c", "from slipstream.cli import main; main()", "run")
START = """
import sys
import numpy as np
import keras

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
y = (x.sum(1) > 0).astype("float32")[:, None]
"""
TWO_FITS = f"""
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG)
{START}
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
model.compile("adam", "binary_crossentropy")
for epochs in (1, 2):
    history = model.fit(x, y, epochs=epochs, verbose=0)
    print(type(history).__name__, len(history.history["loss"]), keras.backend.backend())
model.compile("adam", "mse", run_eagerly=True)
model.fit(x, y, verbose=0)
print(sys.argv)
sys.exit(4)
"""
# A line of its own model's call that cannot be compiled; what a label of the wrong kind comes to.
FAILING = f"""
{START}
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
model.compile("adam", "categorical_crossentropy")

def train():
    model.fit(x, y[:, 0].astype(int), verbose=0)

train()
"""
OTHER_WORLD = f"""
import os
os.environ["KERAS_BACKEND"] = "{{other}}"
{START}
print(keras.backend.backend(), os.environ["KERAS_BACKEND"])
"""


def start(
    source: str, folder: Path, options: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(source)
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [*SLIPSTREAM, *options, "train.py", "--mine"],
        cwd=folder,
        env={**kept, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def lines_of_ours(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("slipstream: ")]


def test_a_script_with_three_fits(tmp_path: Path, backend: str) -> None:
    done = start(TWO_FITS, tmp_path, KERAS_BACKEND=backend)
    assert done.returncode == 4, done.stderr
    told = [line for line in done.stdout.splitlines() if not line.startswith(("DEBUG", "INFO"))]
    assert told == [f"History 1 {backend}", f"History 2 {backend}", "['train.py', '--mine']"]
    first, second = lines_of_ours(done)
    assert first.startswith(f"slipstream: 3 fits on {backend} in ")
    assert second.startswith("slipstream: fit 3 in Keras' own loop: ")
    (folder,) = (tmp_path / "runs").iterdir()
    assert first.endswith(f"records and reports in runs/{folder.name}")
    records = [read_record(folder / f"fit_{number}") for number in (1, 2, 3)]
    assert [record.epochs for record in records] == [1, 2, 1]
    assert all(record.timings.import_seconds > 0 for record in records)
    assert (folder / "fit_3/report.html").exists()


def test_a_script_that_fails_in_fit(tmp_path: Path, backend: str) -> None:
    done = start(FAILING, tmp_path, ("--out", "here"), KERAS_BACKEND=backend)
    assert done.returncode == 1
    # Before it, frameworks may log what they like.
    shown = done.stderr[done.stderr.index("Traceback (most recent call last):") :]
    shown = shown[: shown.index("slipstream: ")]
    assert 'train.py", line' in shown
    assert "model.fit(x, y[:, 0].astype(int), verbose=0)" in shown
    assert f"slipstream{os.sep}" not in shown
    found, advice, kept = lines_of_ours(done)
    assert found.startswith("slipstream: Expected one-hot targets of shape (N, 3)")
    assert done.stderr.index(found) < done.stderr.index("Traceback")
    assert "sparse_categorical_crossentropy" in advice
    assert kept.endswith("records and reports in here")
    assert json.loads((tmp_path / "here/fit_1/record.json").read_text())["outcome"] == "failed"


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "torch", reason="once is enough")
def test_the_backend_that_was_asked_for_wins(tmp_path: Path, backend: str) -> None:
    source = OTHER_WORLD.format(other="jax")
    done = start(source, tmp_path, ("--backend", backend))
    assert done.stdout == f"{backend} {backend}\n"
    assert f"the script asks for jax; --backend has it run on {backend}" in done.stderr


@pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "jax", reason="one run tries all backends: once is enough"
)
def test_the_quickest_backend_by_trial(tmp_path: Path) -> None:
    source = TWO_FITS.replace("sys.exit(4)", "print(keras.backend.backend())")
    variables = {"SLIPSTREAM_CACHE_DIR": str(tmp_path / "cache")}
    done = start(source, tmp_path, ("--backend", "auto"), **variables)
    assert done.returncode == 0, done.stderr
    (choice,) = (tmp_path / "cache/backends").iterdir()
    chosen = json.loads(choice.read_text())
    # The last line of the script; JAX, which logs as the script asks, says more when it ends.
    assert chosen["backend"] in done.stdout.splitlines()[-2:]
    assert all(trial["updates"] == 2 for trial in chosen["trials"].values())
    assert sum("is quickest: " in line for line in lines_of_ours(done)) == 1


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="the same on every backend")
def test_a_backend_that_does_not_exist(tmp_path: Path) -> None:
    done = start(START, tmp_path, KERAS_BACKEND="theano")
    assert done.returncode == 1
    assert "Traceback (most recent call last):" in done.stderr
    assert lines_of_ours(done) == [
        "slipstream: KERAS_BACKEND (or ~/.keras/keras.json) names no backend: tensorflow, jax or"
        " torch. [SLP-865]"
    ]
