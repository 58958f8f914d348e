"""Fit through the public door and the command, in processes of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import slipstream
from slipstream.checkpoint import CheckpointStore
from slipstream.engine.fingerprint import fingerprint
from slipstream.record import read_record
from torture import asking
from torture.asking import Case, ask

LONG_TASK = """
import numpy as np
import slipstream


def build_model():
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


def load_data():
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    return x, x[:, :1]


task = slipstream.Task(model=build_model, data=load_data, loss="mse")
"""


def test_a_compiled_model_and_arrays_are_trained_as_keras_would(
    backend: str, tmp_path: Path
) -> None:
    import keras

    x = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    record = slipstream.fit(
        model,
        x[:64],
        y[:64],
        validation_data=(x[64:], y[64:]),
        batch_size=8,
        epochs=5,
        folder=tmp_path / "run",
        progress=False,
    )
    assert (record.outcome, record.backend) == ("completed", backend)
    # Plain least squares: five epochs of eight steps at this rate all but solve it.
    first, *_, last = (point.values["val_loss"] for point in record.points)
    assert last < 0.01 < first
    assert read_record(tmp_path / "run") == record
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    plan = slipstream.read_plan(tmp_path / "run" / "plan.toml")
    assert (plan.optimizer.name, plan.schedule.peak, plan.batch.size) == ("sgd", 0.1, 8)


@pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "torch", reason="pickled alike for every backend: once is enough"
)
def test_a_task_of_this_process_goes_along_by_value(backend: str, tmp_path: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(LONG_TASK, namespace)
    record = slipstream.fit(
        namespace["task"],
        changes={"runtime.backend": backend, "duration.epochs": 2},
        folder=tmp_path / "run",
        progress=False,
    )
    assert record.outcome == "completed"
    assert record.reference == str(tmp_path / "run" / "task.task.pkl")


def test_in_this_process_it_trains_the_same(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.py").write_text(LONG_TASK)
    monkeypatch.chdir(tmp_path)
    changes = {"runtime.loop": "slipstream", "duration.epochs": 3, "seeds.seed": 5}

    def train(folder: str, **more: object) -> slipstream.Record:
        given = {**changes, **more.pop("changes", {})}  # type: ignore[dict-item]
        return slipstream.fit(  # type: ignore[no-any-return]
            "here.py", changes=given, folder=tmp_path / folder, progress=False, **more
        )

    other = train("other", changes={"runtime.backend": backend})
    here = train("here", own_process=False)
    again = train("again", own_process=False)
    assert here.backend == backend
    assert here.plan == other.plan
    values = [[point.values for point in record.points] for record in (other, here, again)]
    assert values[1] == values[2]
    assert values[1] == [pytest.approx(one, rel=1e-6) for one in values[0]]
    assert read_record(tmp_path / "here") == here
    for name in ("report.html", "plan.toml", "best.weights.h5", "command.json"):
        assert (tmp_path / "here" / name).exists()
    wrong = "jax" if backend != "jax" else "torch"
    with pytest.raises(slipstream.InputError, match="KERAS_BACKEND"):
        train("wrong", own_process=False, changes={"runtime.backend": wrong})


def test_callbacks_of_a_task_are_called_and_saved_with_its_run(
    backend: str, tmp_path: Path
) -> None:
    changes = {"runtime.backend": backend, "runtime.loop": "slipstream", "duration.epochs": 3}
    task, run = tmp_path / "counted.py", tmp_path / "run"
    # Beside others its folder would hide modules of this process's.
    task.write_text(asking.TASK.read_text())
    record = slipstream.fit(task, changes=changes, folder=run, progress=False, own_process=False)
    found = CheckpointStore(run).latest()
    assert found is not None
    kept = {"kind": "Counter", "values": {"count": len(record.points)}}
    assert found.snapshot.values["observers"][0] == kept
    names = ("val_loss", "val_accuracy")
    seen = [[point.values[name] for name in names] for point in record.points]
    np.testing.assert_allclose(found.snapshot.arrays["observers/0/sums"], np.sum(seen, axis=0))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX has them")
def test_what_is_asked_to_end_keeps_what_there_is(backend: str, tmp_path: Path) -> None:
    case = {
        "tensorflow": Case("checkpoint", signal.SIGINT),
        "jax": Case("evaluation", signal.SIGTERM),
        "torch": Case("step", signal.SIGTERM, everybody=True),
    }[backend]
    assert ask(backend, [case], tmp_path, to_the_end=False).failures == []


def test_tasks_without_source_are_told_apart_by_what_they_compile_to() -> None:
    def made(source: str) -> slipstream.Task:
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(source, namespace)
        task = namespace["task"]
        assert isinstance(task, slipstream.Task)
        return task

    again = made(LONG_TASK)
    wider = made(LONG_TASK.replace("Dense(1)", "Dense(2)"))
    other_data = made(LONG_TASK.replace("default_rng(0)", "default_rng(1)"))
    known = fingerprint(made(LONG_TASK))
    assert fingerprint(again) == known
    assert len({known, fingerprint(wider), fingerprint(other_data)}) == 3
