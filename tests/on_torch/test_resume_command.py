"""The command fit, killed and gone on with, against a training of this process."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

from slipstream import tasks
from slipstream.checkpoint import CheckpointStore
from slipstream.engine import Keeping, train
from slipstream.plan import read_plan
from slipstream.record import read_record

TASK = """
import numpy as np
import slipstream


def build_model():
    import keras

    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((4,)), *layers])


def load_data():
    x = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
    return x, x[:, :1]


task = slipstream.Task(model=build_model, data=load_data, loss="mse")
"""
CHANGES = ("runtime.backend=torch", "duration.epochs=200", "runtime.loop=slipstream")
COMMAND = [sys.executable, "-c", "from slipstream.cli import main; main()", "fit", "task.py"]


def start(folder, *more):
    """Start the command on a task."""
    return subprocess.Popen(
        [*COMMAND, "--out", "run", "--quiet", *more], cwd=folder, stderr=subprocess.PIPE, text=True
    )


def final_state(folder):
    """Return what the last checkpoint holds of the training."""
    snapshot = CheckpointStore(folder).latest().snapshot
    return snapshot.update, {k: v for k, v in snapshot.arrays.items() if k.startswith("state/")}


def test_killed_it_goes_on_as_if_nothing_had_happened(tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    changed = [argument for change in CHANGES for argument in ("--set", change)]
    first = start(tmp_path, "--checkpoint-every", "5 updates", *changed)
    deadline = time.monotonic() + 200
    # One that is being written has an ending.
    while all(path.suffix for path in tmp_path.glob("run/checkpoints/*-*")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=200)
    # Without --resume it is left as it is.
    refused = start(tmp_path, *changed)
    assert "or go on with --resume" in refused.communicate(timeout=200)[1]
    assert refused.returncode == 2
    second = start(tmp_path, "--resume")
    _, err = second.communicate(timeout=200)
    assert second.returncode == 0, err
    record = read_record(tmp_path / "run")
    assert record.outcome == "completed" and record.checkpoints.resumed_at

    task = tasks.resolve(str(tmp_path / "task.py"))
    plan = read_plan(tmp_path / "run" / "plan.toml")
    whole = train(task, plan, folder=tmp_path / "whole", keeping=Keeping())
    (updates, ours), (all_updates, theirs) = map(
        final_state, (tmp_path / "run", tmp_path / "whole")
    )
    assert updates == all_updates and ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    assert [point.values for point in record.points] == [point.values for point in whole.points]
