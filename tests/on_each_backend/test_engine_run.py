"""A whole run: what ends it, what is kept of it, and what its record says."""

import math

import keras
import numpy as np
import pytest
from engine_help import NUM_FEATURES, data, dense_net, numbers, plan, split, task

from slipstream.data.splits import Data, Split
from slipstream.engine import (
    Evaluated,
    Finished,
    Limits,
    Origin,
    Progress,
    Started,
    train,
)
from slipstream.engine.recorder import Recorder
from slipstream.errors import BackendError, PlanError, TaskError
from slipstream.record import Point, read_record

KEEP_BEST = {"duration.restore_best": True}


def loaded_net(folder):
    model = dense_net()
    model.load_weights(folder / "best.weights.h5")
    return model


def loss_of(model, part):
    logits = model.predict(part.x, verbose=0).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -np.mean(log_p[np.arange(len(part.y)), part.y])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is at its best before its end: its rate is far too high."""
    folder = tmp_path_factory.mktemp("run")
    changes = {"schedule.peak": 3.0, "optimizer.momentum": 0.9, "duration.epochs": 4, **KEEP_BEST}
    events = []
    record = train(
        task(),
        plan(changes),
        data=data(45),
        folder=folder,
        observers=[lambda event: events.append(event) and None],
        evaluate_test=True,
        origin=Origin("digits", 1.5, 0.25),
    )
    return folder, record, events


def test_the_record_states_what_happened(finished):
    _, record, _ = finished
    assert (record.outcome, record.failure) == ("completed", None)
    assert (record.updates, record.epochs) == (24, 4.0)
    assert (record.reference, record.backend) == ("digits", keras.backend.backend())
    assert record.parameters == dense_net().count_params()
    assert record.data_hash == data(45).digest()
    assert record.examples_per_second > 0
    assert record.peak_memory_bytes > 1e6
    assert record.final_values == record.points[-1].values
    assert set(record.final_values) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_points_only_go_forward(finished):
    _, record, _ = finished
    assert [point.step for point in record.points] == [6, 12, 18, 24]
    assert [point.epoch for point in record.points] == [1.0, 2.0, 3.0, 4.0]
    seconds = [point.seconds for point in record.points]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert seconds[-1] <= record.timings.clock_seconds


def test_timings_add_up_to_the_clock(finished):
    timings = finished[1].timings
    assert (timings.import_seconds, timings.load_seconds) == (1.5, 0.25)
    parts = (
        timings.build_seconds,
        timings.compile_seconds,
        timings.train_seconds,
        timings.evaluate_seconds,
    )
    assert all(part >= 0 for part in parts)
    assert sum(parts) <= timings.clock_seconds + 1e-3
    assert sum(parts) >= 0.5 * timings.clock_seconds


def test_the_folder_holds_the_record_and_the_best_weights(finished):
    folder, record, _ = finished
    assert read_record(folder) == record
    values = [point.values["val_loss"] for point in record.points]
    best = int(np.argmin(values))
    assert best < 3, "the test wants a run whose last evaluation is not its best"
    assert (record.best_value, record.best_epoch) == (values[best], best + 1.0)
    model = loaded_net(folder)
    assert loss_of(model, data(45).validation) == pytest.approx(record.best_value, rel=1e-4)
    assert record.test_values["loss"] == pytest.approx(loss_of(model, data(45).test), rel=1e-4)
    assert {file.name for file in folder.iterdir()} == {
        "record.json",
        "metrics.jsonl",
        "best.weights.h5",
    }


def test_observers_hear_everything_in_order(finished):
    _, record, events = finished
    assert isinstance(events[0], Started)
    assert (events[0].total_updates, events[0].updates_per_epoch) == (24, 6)
    assert isinstance(events[-1], Finished) and events[-1].record == record
    assert [e.update for e in events if isinstance(e, Progress)] == list(range(1, 25))
    evaluated = [e for e in events if isinstance(e, Evaluated)]
    assert [e.point for e in evaluated] == record.points
    assert evaluated[0].is_best
    assert all(e.learning_rate == 3.0 for e in evaluated)


def test_without_restoring_the_last_weights_are_kept(tmp_path):
    record = train(task(), plan(), data=data(45), folder=tmp_path)
    expected = record.points[-1].values["val_loss"]
    assert loss_of(loaded_net(tmp_path), data(45).validation) == pytest.approx(expected, rel=1e-4)


def test_averaged_weights_are_kept(tmp_path):
    changes = {"optimizer.ema": 0.9, "schedule.peak": 0.5}
    record = train(task(), plan(changes), data=data(45), folder=tmp_path)
    expected = record.points[-1].values["val_loss"]
    assert loss_of(loaded_net(tmp_path), data(45).validation) == pytest.approx(expected, rel=1e-4)


def test_not_a_number_is_never_the_best():
    heard = []
    recorder = Recorder(task(), plan({**KEEP_BEST, "duration.patience": 2}), None, [heard.append])
    model = dense_net()
    for step, value in enumerate([math.nan, 2.0, math.inf, 1.0, math.nan, 1.0]):
        recorder.decided = None
        point = Point(step=step, epoch=float(step), seconds=0.0, values={"val_loss": value})
        model.get_layer("logits").bias.assign(np.full(3, float(step)))
        recorder.evaluated(point, model, 0.1)
    evaluated = [event for event in heard if isinstance(event, Evaluated)]
    assert [event.is_best for event in evaluated] == [False, True, False, True, False, False]
    assert recorder.best.step == 3
    np.testing.assert_array_equal(recorder.best_weights[-1], [3.0, 3.0, 3.0])
    assert recorder.stop == "stopped_early"


@pytest.mark.parametrize(
    ("policy", "is_best"),
    [
        ("float32", [False, False, True, False, False]),
        # A loss that overflowed says nothing of the weights there.
        ("mixed_float16", [True, False, True, False, False]),
    ],
)
def test_an_accuracy_of_weights_that_are_ruined_is_never_the_best(policy, is_best):
    heard = []
    changes = {**KEEP_BEST, "precision.policy": policy, "duration.stop_at_target": True}
    watching = task(monitor="val_accuracy", target=0.9)
    recorder = Recorder(watching, plan(changes), None, [heard.append])
    model = dense_net()
    told = [
        (math.inf, 0.5, 0.4),
        (0.5, math.nan, 0.95),
        (0.5, 0.5, 0.6),
        (0.4, math.inf, 0.7),
        (math.nan, math.nan, 0.95),
    ]
    for step, (loss, held_out, accuracy) in enumerate(told):
        values = {"loss": loss, "val_loss": held_out, "val_accuracy": accuracy}
        model.get_layer("logits").bias.assign(np.full(3, float(step)))
        point = Point(step=step, epoch=float(step), seconds=0.0, values=values)
        recorder.evaluated(point, model, 0.1)
    assert [event.is_best for event in heard if isinstance(event, Evaluated)] == is_best
    assert recorder.best.step == 2
    np.testing.assert_array_equal(recorder.best_weights[-1], [2.0, 2.0, 2.0])
    assert recorder.stop is None


def test_divergence_is_a_failure_with_advice(tmp_path):
    x = numbers(40, NUM_FEATURES)
    part = Split(x, x.sum(1, keepdims=True))

    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(1)])

    task_ = task(net, loss="mse", metrics=())
    changes = {"schedule.peak": 1e20, "duration.epochs": 5}
    record = train(task_, plan(changes), data=Data(part, part), folder=tmp_path)
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")
    assert "Lower schedule.peak" in record.failure.message
    assert record.updates == 4
    assert record.best_value is None
    assert read_record(tmp_path).outcome == "failed"


def test_divergence_is_told_under_bfloat16_too():
    x = numbers(40, NUM_FEATURES)
    part = Split(x, x.sum(1, keepdims=True))

    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(1)])

    changes = {"schedule.peak": 1e20, "precision.policy": "mixed_bfloat16"}
    record = train(task(net, loss="mse", metrics=()), plan(changes), data=Data(part, part))
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")


def test_patience_ends_a_run():
    flat = Data(split(40), Split(np.zeros((8, NUM_FEATURES), "float32"), np.zeros(8, "int64")))

    def net():
        layer = keras.layers.Dense(3, use_bias=False, name="logits")
        return keras.Sequential([keras.Input((NUM_FEATURES,)), layer])

    record = train(task(net), plan({"duration.epochs": 9, "duration.patience": 2}), data=flat)
    assert record.outcome == "stopped_early"
    assert len(record.points) == 3


def test_the_target_ends_a_run():
    changes = {"duration.epochs": 50, "duration.stop_at_target": True}
    task_ = task(monitor="val_accuracy", target=0.6)
    record = train(task_, plan(changes), data=data(45))
    assert record.outcome == "reached_target"
    assert [p.values["val_accuracy"] >= 0.6 for p in record.points].index(True) == (
        len(record.points) - 1
    )
    assert record.seconds_to(0.6) == record.points[-1].seconds


def test_limits_end_a_run():
    record = train(task(), plan(), data=data(45), limits=Limits(updates=4))
    assert (record.outcome, record.updates, record.points) == ("limit_reached", 4, [])
    assert record.epochs == pytest.approx(4 / 6)
    record = train(task(), plan(), data=data(45), limits=Limits(seconds=0.0))
    # Whoever limits the time is told what came of it, be it in the middle of the first epoch.
    assert (record.outcome, record.updates, len(record.points)) == ("limit_reached", 1, 1)
    assert record.best_value is not None


def test_an_observer_ends_a_run():
    record = train(
        task(),
        plan(),
        data=data(45),
        observers=[lambda event: isinstance(event, Progress) and event.update == 8],
    )
    assert (record.outcome, record.updates, len(record.points)) == ("stopped_early", 8, 1)


def interrupt(event):
    if isinstance(event, Progress) and event.update == 8:
        raise KeyboardInterrupt


@pytest.mark.parametrize("restore_best", [True, False])
def test_an_interrupted_run_keeps_what_it_has(tmp_path, restore_best):
    with pytest.raises(KeyboardInterrupt):
        train(
            task(),
            plan({"duration.restore_best": restore_best}),
            data=data(45),
            folder=tmp_path,
            observers=[interrupt],
        )
    record = read_record(tmp_path)
    assert (record.outcome, record.updates, len(record.points)) == ("interrupted", 8, 1)
    assert (tmp_path / "best.weights.h5").exists() == restore_best
    if restore_best:
        model = loaded_net(tmp_path)
        assert loss_of(model, data(45).validation) == pytest.approx(record.best_value, rel=1e-4)


def test_an_error_in_the_middle_is_a_fact_and_the_model_can_be_read():
    models = []

    def net():
        models.append(dense_net())
        return models[-1]

    def fail(event):
        if isinstance(event, Progress) and event.update > 7:
            raise RuntimeError("the disk is full\nand more")

    changes = {"runtime.steps_per_execution": 2, "data.cache": "device"}
    record = train(task(net), plan(changes), data=data(40), observers=[fail])
    assert (record.outcome, record.failure.kind) == ("failed", "RuntimeError")
    assert record.failure.message == "the disk is full"
    assert all(np.isfinite(weights).all() for weights in models[0].get_weights())
    assert np.isfinite(models[0].predict(data().test.x, verbose=0)).all()


def test_what_a_layer_raises_is_told_with_its_reason_and_logged_whole(caplog):
    class Broken(keras.layers.Layer):
        def call(self, inputs, training=False):
            if training:
                raise ValueError("no such pole")
            return inputs

    def net():
        return keras.Sequential([dense_net(), Broken()])

    record = train(task(net), plan(), data=data(40))
    assert record.outcome == "failed"
    assert "no such pole" in record.failure.message
    assert "\x1b" not in record.failure.message
    assert "in call\n" in caplog.text


def test_a_model_that_fails_in_its_step_is_a_fact():
    task_ = task(loss=keras.losses.serialize(keras.losses.MeanSquaredError()), metrics=())
    bad = Data(Split(numbers(8, NUM_FEATURES), numbers(8, 4)), split(8))
    record = train(task_, plan(), data=bad)
    assert record.outcome == "failed"
    assert record.failure.message


@pytest.mark.parametrize("loop", ["slipstream", "keras"])
def test_a_monitor_that_is_not_evaluated_is_told_with_those_that_are(loop):
    with pytest.raises(TaskError, match=r"val_acc.*val_accuracy"):
        train(task(monitor="val_acc"), plan({"runtime.loop": loop}), data=data(20))


def test_what_the_user_can_mend_is_raised():
    other = {"tensorflow": "jax", "jax": "torch", "torch": "jax"}[keras.backend.backend()]
    with pytest.raises(BackendError, match=other):
        train(task(), plan({"runtime.jit": "auto", "runtime.backend": other}), data=data())
    penalised = {"runtime.loop": "keras", "regularization.l2": 0.1}
    with pytest.raises(PlanError, match="slipstream"):
        train(task(), plan(penalised), data=data())


@keras.saving.register_keras_serializable("tests")
class Counted(keras.layers.Layer):
    """Counts how often Python comes by."""

    calls = 0

    def call(self, inputs):
        Counted.calls += 1
        return inputs


@pytest.mark.parametrize("loop", ["slipstream", "keras"])
def test_an_eager_training_comes_by_each_line_in_each_update_and_trains_the_same(loop):
    def net():
        return keras.Sequential([*dense_net().layers[:1], Counted(), dense_net().layers[-1]])

    data_, changes = data(num_train=32), {"runtime.loop": loop, "duration.epochs": 2}
    plain = train(task(net), plan(changes), data=data_)
    Counted.calls = 0
    eager = train(task(net), plan({**changes, "runtime.eager": True}), data=data_)
    # 8 updates and 2 evaluations, at least.
    assert Counted.calls >= 10
    assert "each operation by itself" in eager.applied["runtime.eager"]
    for mine, other in zip(eager.points, plain.points, strict=True):
        assert mine.values == pytest.approx(other.values, rel=1e-4)
    Counted.calls = 0
    train(task(net), plan({**changes, "runtime.jit": "auto"}), data=data_)
    assert (Counted.calls >= 10) == (keras.backend.backend() == "torch")
