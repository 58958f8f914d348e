"""A run that was interrupted or killed, gone on with: bit for bit the one that was not."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from engine_help import JIT, plan, task

from slipstream.checkpoint import CheckpointStore, _writing
from slipstream.checkpoint.every import Every
from slipstream.data.splits import Data, Split
from slipstream.engine import Evaluated, Finished, Keeping, Limits, Progress, hybrid, train
from slipstream.errors import InputError, RecordError
from slipstream.record import read_record

SIDE = 6
# 49 images in updates of 2 * 4 are six updates an epoch and one of a single image; they are
# evaluated after four of them and at the end.
EVERYTHING = {
    "optimizer.name": "adamw",
    "optimizer.ema": 0.9,
    "optimizer.lookahead": 3,
    "schedule.name": "cosine",
    "schedule.peak": 0.02,
    "schedule.warmup": "3 steps",
    "schedule.plateau_patience": 1,
    "schedule.plateau_factor": 0.7,
    "augmentation.flip": True,
    "augmentation.shift": 1,
    "augmentation.place": "host",
    "batch.size": 4,
    "batch.accumulation": 2,
    "clipping.quantile": 0.5,
    "clipping.window": 5,
    "precision.policy": "mixed_float16",
    "regularization.l2": 1e-3,
    "regularization.adaptive_gap": 0.1,
    "runtime.steps_per_execution": 2,
    "duration.evaluations_per_epoch": 2,
    "duration.epochs": 4,
    "duration.patience": 7,
    "duration.restore_best": True,
}


if keras.backend.backend() == "torch":
    # Elsewhere each of the measurements is compiled.
    EVERYTHING["precision.float32_layers"] = "auto"


def net():
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.GaussianNoise(0.1, seed=3),
            keras.layers.Dense(3),
        ]
    )


def images(num, seed):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, num)
    x = generator.normal(size=(num, SIDE, SIDE, 1)).astype("float32")
    x[np.arange(num), y] += 1.0
    return Split(x, y)


DATA = Data(images(49, 1), images(20, 2))


class Watcher:
    """An observer with a state, which kills the process where it is told to."""

    def __init__(self, kill_at=math.inf):
        self.kill_at = kill_at
        self.seen = 0
        self.values = np.zeros(2)
        # It goes on growing while a checkpoint is written.
        self.told = []
        self.update = 0

    def __call__(self, event):
        if isinstance(event, Evaluated):
            self.seen += 1
            self.values[self.seen % 2] = event.point.values["val_loss"]
        if isinstance(event, Progress):
            self.update = event.update
            self.told.append(event.update)
            if event.update >= self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def state(self):
        return {"seen": self.seen, "values": self.values, "told": self.told}

    def restore(self, state):
        self.seen, self.values, self.told = state["seen"], state["values"], state["told"]


def go(folder, changes, watcher=None, interrupt_at=math.inf, resume=True, every="5 updates"):
    watcher = watcher or Watcher()
    return train(
        task(net, metrics=["accuracy"]),
        plan(changes),
        data=DATA,
        folder=folder,
        observers=[watcher],
        limits=Limits(interrupted=lambda: watcher.update >= interrupt_at),
        keeping=Keeping(Every.parse(every), resume),
    )


def go_and_be_killed(folder, kill_at):
    """Begin a run, or go on with it, in a process of its own, which is killed."""
    program = (
        "import sys; from pathlib import Path; import test_engine_resume as here\n"
        "here.go(Path(sys.argv[1]), here.EVERYTHING, here.Watcher(int(sys.argv[2])))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(folder), str(kill_at)],
        cwd=Path(__file__).parent,
        check=False,
        timeout=300,
    )


def without_seconds(lines):
    return [{**line, "seconds": 0.0} for line in lines]


def metrics_of(folder):
    text = (folder / "metrics.jsonl").read_text().splitlines()
    return without_seconds(json.loads(line) for line in text)


def assert_same_runs(folder, other):
    """Compare all that the last checkpoints and the records of two runs hold."""
    mine, theirs = (CheckpointStore(one).latest().snapshot for one in (folder, other))
    assert mine.update == theirs.update
    assert mine.arrays.keys() == theirs.arrays.keys()
    groups = {name.split("/")[0] for name in mine.arrays}
    assert groups >= {"state", "best", "observers"}
    for name, array in mine.arrays.items():
        assert array.dtype == theirs.arrays[name].dtype
        np.testing.assert_array_equal(array, theirs.arrays[name], err_msg=name)
    ours, others = dict(mine.values), dict(theirs.values)
    for values in (ours, others):
        recorder = dict(values["recorder"])
        recorder["points"] = without_seconds(recorder["points"])
        values["recorder"] = recorder
        for key in ("clock", "checkpoints"):
            values.pop(key)
    assert repr(ours) == repr(others)
    assert metrics_of(folder) == metrics_of(other)
    one, two = read_record(folder), read_record(other)
    assert (one.outcome, one.events) == (two.outcome, two.events)
    assert (one.best_value, one.final_values) == (two.best_value, two.final_values)


def test_killed_within_an_epoch_it_ends_as_if_nothing_had_happened(tmp_path, monkeypatch):
    uninterrupted, killed = tmp_path / "whole", tmp_path / "killed"
    whole = go(uninterrupted, EVERYTHING, resume=False)
    assert whole.outcome in ("completed", "stopped_early")

    def measured_anew(*_):
        raise AssertionError("what was found is not to be looked for again")

    monkeypatch.setattr(hybrid, "_gradient", measured_anew)
    assert go_and_be_killed(killed, kill_at=14).returncode == -signal.SIGKILL
    # And that in the middle of a line.
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "epo')
    second = go(killed, EVERYTHING)
    # The checkpoint of update 11 may have been under way when the process was killed.
    assert second.checkpoints.resumed_at in ([6], [11])
    assert second.checkpoints.count > 4 and second.checkpoints.bytes > 0
    assert_same_runs(killed, uninterrupted)
    assert (second.outcome, second.updates) == (whole.outcome, whole.updates)


def test_keras_own_loop_goes_on_within_an_epoch_in_keras_own_order(tmp_path):
    changes = {
        "runtime.loop": "keras",
        "optimizer.name": "adam",
        "optimizer.ema": 0.5,
        "duration.epochs": 4,
        "duration.restore_best": True,
    }
    uninterrupted, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole = go(uninterrupted, changes, resume=False)
    # 49 images in batches of 8 are 7 updates an epoch: one stop within an epoch, one at its end.
    assert go(stopped, changes, interrupt_at=10, resume=False).updates == 10
    assert go(stopped, changes, interrupt_at=14).updates == 14
    third = go(stopped, changes)
    assert third.checkpoints.resumed_at == [10, 14]
    assert (third.outcome, third.updates) == (whole.outcome, 28)
    assert_same_runs(stopped, uninterrupted)
    assert go(stopped, changes).points == third.points


def test_a_checkpoint_holds_what_an_observer_knew_when_it_was_made(tmp_path, monkeypatch):
    encoded = _writing._encoded

    def late(values):
        # Meanwhile the training goes on.
        time.sleep(0.1)
        return encoded(values)

    monkeypatch.setattr(_writing, "_encoded", late)
    go(tmp_path, {"runtime.jit": JIT, "duration.epochs": 4}, resume=False, every="3 updates")
    found = sorted(tmp_path.glob("checkpoints/*/values.json"))
    assert found
    for file in found:
        told = json.loads(file.read_text())["observers"][0]["values"]["told"]
        update = json.loads(file.with_name("manifest.json").read_text())["update"]
        assert told[-1] == update


def test_what_an_observer_makes_of_the_end_leaves_the_run_as_it_is(tmp_path):
    class Failing(Watcher):
        def __call__(self, event):
            if isinstance(event, Finished):
                raise KeyError("gone")

    changes = {"runtime.jit": JIT, "duration.epochs": 1}
    record = go(tmp_path, changes, Failing(), resume=False)
    assert record.outcome == "completed" and record.best_value is not None
    assert record.notes[-1] == "An error after the run was over: KeyError: 'gone'."
    assert read_record(tmp_path) == record


def test_another_run_is_not_gone_on_with(tmp_path):
    changes = {"runtime.jit": JIT, "duration.epochs": 1}
    go(tmp_path, changes, interrupt_at=3, resume=False)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"checkpoint at update 3.*Add --resume"):
        go(tmp_path, changes, resume=False)
    with pytest.raises(RecordError, match=r"batch.size = 4 where it was 8; duration.epochs = 2"):
        go(tmp_path, {**changes, "batch.size": 4, "duration.epochs": 2})

    class Other(Watcher):
        pass

    with pytest.raises(RecordError, match="as the run had them: Watcher; got Other"):
        go(tmp_path, changes, Other())
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
