"""Updates that go wrong: found exactly, undone, left out; all else as if they had never been."""

import json

import keras
import numpy as np
import pytest
from engine_help import NUM_CLASSES, NUM_FEATURES, Run, data, plan, run, split, task

from slipstream.checkpoint.every import Every
from slipstream.data.order import epoch_order
from slipstream.data.splits import Data, Split
from slipstream.engine import Evaluated, train
from slipstream.engine.keeping import Keeping
from slipstream.engine.limits import Limits

BAD = 17
MOMENTUM = {"optimizer.momentum": 0.9, "schedule.name": "cosine"}


@keras.saving.register_keras_serializable("guard")
class BadGradient(keras.layers.Layer):
    """Passes numbers on; the gradient of a large one is not finite, its value is."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs):
        large = 3e38 * keras.ops.cast(inputs[:, :1] > 50.0, "float32")
        # It is 0, and its slope is the square of a number whose square is too large.
        nothing = (self.scale - keras.ops.stop_gradient(self.scale)) * large * large
        return inputs + nothing


def poisoned(value, rows=(BAD,), num_train=45):
    """Return a data set of which some training rows hold a value."""
    whole = data(num_train)
    x = whole.train.x.copy()
    x[list(rows), 0] = value
    return Data(Split(x, whole.train.y), whole.validation, whole.test)


def place_of(row, epoch, size=8, num=45):
    """Return in which update of an epoch a row of the training split comes."""
    return int(np.flatnonzero(epoch_order(num, 0, epoch) == row)[0]) // size


def by_hand(plan_, data_, without, task_=None, rows=None):
    """Train step by step, without some updates, and rows from an epoch on; return the run."""
    plain = {"guard.non_finite": False, "guard.lower_after": 3, "guard.retries": 5}
    made = Run(task_ or task(), plan_.edit({**plain, "data.prefetch": "auto"}), data_)
    made.feed.leave_out(rows or {})
    per_epoch = made.feed.updates_per_epoch
    for epoch in range(plan_.duration.epochs):
        update = epoch * per_epoch
        for block in made.feed.epoch(epoch):
            if hasattr(block, "batches"):
                if update not in without:
                    made.program.train_ragged(block.batches, float(made.loop._rates[update]))
                update += 1
                continue
            rest = block
            for _ in range(block.count):
                one, rest = rest.split(1) if rest.count > 1 else (rest, rest)
                if update not in without:
                    size = len(keras.tree.flatten(one.arrays)[0])
                    rates = np.full(size, made.loop._rates[update], np.float32)
                    made.program.train(one.arrays, rates, 1)
                update += 1
    made.program.synchronize()
    return made


def assert_identical(one, other):
    mine, others = one.model.get_weights(), other.model.get_weights()
    slots = [np.array(v) for v in one.model.optimizer.variables]
    theirs = [np.array(v) for v in other.model.optimizer.variables]
    for a, b in zip([*mine, *slots], [*others, *theirs], strict=True):
        np.testing.assert_array_equal(a, b)


def named(run_):
    """Return kind, update and examples of what a run says it left out."""
    return [(s.kind, s.step - 1, s.examples) for s in run_.recorder.signals if s.examples]


def examples_of(update, size=8, num=45, per_epoch=6):
    order = epoch_order(num, 0, update // per_epoch)
    return order[update % per_epoch * size :][:size].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"runtime.steps_per_execution": 4, "optimizer.ema": 0.9},
        {"batch.size": 4, "batch.accumulation": 2, "runtime.steps_per_execution": 6},
    ],
    ids=["plain", "blocks and averages", "accumulation"],
)
def test_a_poisoned_update_is_named_and_the_run_is_one_without_it(changes):
    plan_ = plan({**MOMENTUM, "duration.epochs": 2, **changes})
    bad = [6 * epoch + place_of(BAD, epoch) for epoch in range(2)]
    ran = run(task(), plan_, poisoned(np.nan))
    assert named(ran) == [("non_finite", update, examples_of(update)) for update in bad]
    assert BAD in named(ran)[0][2]
    assert_identical(ran, by_hand(plan_, poisoned(np.nan), bad))
    assert ran.loop.update == 12 and np.isfinite(ran.values[-1]["val_loss"])
    assert "loss that is not finite" in ran.recorder.signals[0].seen
    assert "rows 4, 17 of the training split went wrong each time" in ran.recorder.signals[1].seen


def test_an_example_that_is_met_in_each_epoch_is_one_trouble_and_then_left_out():
    changes = {"duration.epochs": 8, "guard.retries": 1, "guard.lower_after": 2}
    plan_ = plan({**MOMENTUM, **changes, "data.prefetch": 2, "runtime.steps_per_execution": 3})
    ran = run(task(), plan_, poisoned(np.nan))
    bad = [6 * epoch + place_of(BAD, epoch) for epoch in range(5)]
    # Of 8 rows, so many would be shared by chance: 8 / 6 ** 4 = 0.006.
    assert [update for _, update, _ in named(ran)] == bad
    assert "and counts as one trouble with updates" in ran.recorder.signals[4].seen
    assert "After epoch 5 training goes on without row 17 of" in ran.built.notes[0]
    order = epoch_order(45, 0, 6)
    order[np.flatnonzero(order == BAD)] = np.roll(order, -1)[order == BAD]
    met = np.concatenate([ran.feed.examples_of(update) for update in range(36, 42)])
    np.testing.assert_array_equal(met, order)
    assert_identical(ran, by_hand(plan_, poisoned(np.nan), bad, rows={BAD: 5}))
    ran.loop._split()
    assert BAD not in ran.loop._feed.examples_of(6 * 6 + place_of(BAD, 6)), "nor in smaller parts"


def test_what_is_known_in_the_last_epoch_is_not_told_as_if_training_went_on():
    ran = run(task(), plan({"batch.size": 2, "duration.epochs": 3}), poisoned(np.nan))
    expected = "All 3 updates that had row 17 of the training split went wrong."
    assert ran.built.notes[-1].startswith(expected)
    assert ran.built.notes[-1].endswith("but epoch 3 is the last.")


def test_a_gradient_that_is_not_finite_is_found_though_its_loss_is():
    def net():
        return keras.Sequential(
            [keras.Input((NUM_FEATURES,)), BadGradient(), keras.layers.Dense(NUM_CLASSES)]
        )

    plan_ = plan({"duration.epochs": 1, "runtime.steps_per_execution": 3})
    ran = run(task(net), plan_, poisoned(60.0))
    bad = place_of(BAD, 0)
    assert named(ran) == [("non_finite", bad, examples_of(bad))]
    assert ran.recorder.signals[0].seen.startswith("gradients that are not finite")


def two_classes(**settings):
    """Return a task and a data set of two classes, one training row of which is broken."""

    def net():
        return keras.Sequential(
            [keras.Input((NUM_FEATURES,)), keras.layers.Dense(1, activation="sigmoid")]
        )

    whole = poisoned(np.nan)
    train, validation = (
        Split(one.x, (one.y > 0).astype("float32")[:, None])
        for one in (whole.train, whole.validation)
    )
    return task(net, metrics=(), **settings), Data(train, validation)


# Torch refuses probabilities that are NaN; the second loss has no native form.
@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal_crossentropy"])
def test_probabilities_that_are_not_numbers_are_as_any_other_loss(loss):
    task_, data_ = two_classes(loss=loss)
    plan_ = plan({**MOMENTUM, "duration.epochs": 2, "runtime.steps_per_execution": 3})
    bad = [6 * epoch + place_of(BAD, epoch) for epoch in range(2)]
    ran = run(task_, plan_, data_)
    assert named(ran) == [("non_finite", update, examples_of(update)) for update in bad]
    assert "loss that is not finite" in ran.recorder.signals[0].seen
    assert_identical(ran, by_hand(plan_, data_, bad, task_))
    assert np.isfinite(ran.values[-1]["val_loss"])


def test_keras_own_loop_diverges_on_probabilities_that_are_not_numbers():
    task_, data_ = two_classes(loss="binary_crossentropy")
    record = train(task_, plan({"runtime.loop": "keras"}), data=data_)
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")
    assert [event.kind for event in record.events] == ["divergence"]


# The second one's net keeps to Keras' own loss on each backend.
@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal_crossentropy"])
def test_a_validation_loss_that_is_not_a_number_is_told_and_training_goes_on(loss):
    task_, data_ = two_classes(loss=loss)
    data_ = Data(data_.validation, data_.train)
    changes = {"duration.epochs": 2, "duration.restore_best": True}
    record = train(task_, plan(changes), data=data_)
    assert (record.outcome, record.best_value) == ("completed", None)
    assert [event.kind for event in record.events] == ["validation_not_finite"]
    assert any("those of the last update" in note for note in record.notes)
    record = train(task_, plan({**changes, "runtime.loop": "keras"}), data=data_)
    assert record.best_value is None
    if keras.backend.backend() == "torch":
        assert "a finite validation loss" in record.failure.message
    else:
        assert [event.kind for event in record.events] == ["validation_not_finite"]


def regression():
    """Return a problem of numbers."""
    train, validation = (split(num, seed) for num, seed in ((45, 1), (23, 2)))
    return Data(*(Split(one.x, one.x[:, :NUM_CLASSES].copy()) for one in (train, validation)))


def linear():
    """Return a net whose loss has no upper bound."""
    return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(NUM_CLASSES)])


def test_a_spike_is_named_and_left_out_and_a_healthy_run_stays_as_it_is():
    # It first comes when the window is full.
    late = int(epoch_order(45, 0, 0)[-12])
    common = {**MOMENTUM, "batch.size": 4, "duration.epochs": 3, "schedule.peak": 0.02}
    spikes = {"guard.spike": 60.0, "guard.window": 8, "runtime.steps_per_execution": 3}
    task_ = task(linear, loss="mse", metrics=())
    plain = run(task_, plan(common), regression())
    healthy = run(task_, plan({**common, **spikes}), regression())
    assert named(healthy) == []
    assert healthy.values == plain.values
    odd = regression()
    odd.train.x[late] = 4e3
    plan_ = plan({**common, **spikes})
    ran = run(task_, plan_, odd)
    bad = [12 * epoch + place_of(late, epoch, size=4) for epoch in range(3)]
    expected = [("loss_spike", update, examples_of(update, 4, 45, 12)) for update in bad]
    assert named(ran) == expected
    assert_identical(ran, by_hand(plan_, odd, bad, task_))


def test_losses_are_told_update_by_update():
    plan_ = plan({"guard.spike": 9.0, "runtime.steps_per_execution": 4, "duration.epochs": 1})
    ran = Run(task(), plan_, data(45))
    sums = []
    for block in ran.feed.epoch(0):
        if hasattr(block, "batches"):
            ran.program.train_ragged(block.batches, 0.1)
        else:
            ran.program.train(block.arrays, np.full(4, 0.1, np.float32), block.count)
        sums.append(ran.program.read_losses())
    assert [len(rows) for rows in sums] == [4, 1, 1]
    rows = np.concatenate(sums)
    assert rows[:, 1].tolist() == [8, 8, 8, 8, 8, 5]
    alone = Run(task(), plan_.edit({"runtime.steps_per_execution": 1}), data(45))
    losses = []
    for block in alone.feed.epoch(0):
        alone.program.read_metrics()
        if hasattr(block, "batches"):
            alone.program.train_ragged(block.batches, 0.1)
        else:
            alone.program.train(block.arrays, np.full(1, 0.1, np.float32), 1)
        losses.append(alone.program.peek_metrics()["loss"])
    np.testing.assert_allclose(rows[:, 0] / rows[:, 1], losses, rtol=1e-4)


def test_repeated_trouble_lowers_the_rate_and_then_ends_the_run():
    rows = tuple(range(0, 45, 9))
    bad = sorted({place_of(row, 0) for row in rows})
    assert bad == [0, 2, 4, 5]
    changes = {"duration.epochs": 2, "guard.lower_after": 2, "guard.retries": 4}
    seen = []
    ran = Run(task(), plan(changes), poisoned(np.inf, rows), observers=[seen.append])
    ran.go(Limits(updates=6))
    assert [found[1] for found in named(ran)] == bad
    lowered = [s.step for s in ran.recorder.signals if "rates are times 0.5" in s.seen]
    assert lowered == [3, 6]
    assert [event.learning_rate for event in seen if isinstance(event, Evaluated)] == [
        pytest.approx(0.05)
    ]
    record = train(task(), plan({**changes, "guard.retries": 1}), data=poisoned(np.inf, rows))
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")
    assert "(guard.retries = 1, guard.window = 100)" in record.failure.message
    assert "Look at these examples" in record.failure.message
    assert "No learning rate has been applied yet" in record.events[0].advice
    assert "If they are right: Lower schedule.peak" in record.events[1].advice
    assert [event.kind for event in record.events] == ["non_finite", "divergence"]
    assert [event.examples for event in record.events] == [examples_of(one) for one in bad[:2]]


def test_what_goes_wrong_whatever_the_examples_ends_the_run():
    changes = {"schedule.peak": 1e20, "duration.epochs": 3}
    record = train(task(linear, loss="mse", metrics=()), plan(changes), data=regression())
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")
    assert "3 in a row end a run, whatever guard.retries is" in record.failure.message
    assert "Lower schedule.peak" in record.failure.message
    assert [event.kind for event in record.events] == ["non_finite"] * 2 + ["divergence"]


def test_without_the_guard_a_run_fails_as_it_comes():
    changes = {"guard.non_finite": False, "duration.epochs": 2}
    record = train(task(), plan(changes), data=poisoned(np.nan))
    assert record.outcome == "failed" and [e.kind for e in record.events] == ["divergence"]


def test_an_overflow_that_loss_scaling_handles_is_no_such_event():
    def net():
        return keras.Sequential(
            [
                keras.Input((NUM_FEATURES,)),
                keras.layers.Rescaling(30.0),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dense(NUM_CLASSES),
            ]
        )

    changes = {"precision.policy": "mixed_float16", "schedule.peak": 1e-3, "guard.spike": 50.0}
    ran = run(task(net), plan(changes), data(45))
    assert sum(point["skipped_updates"] for point in ran.values) > 0, "the test wants overflows"
    assert named(ran) == []


def test_a_run_resumed_after_the_guard_acted_is_the_same(tmp_path):
    plan_ = plan(
        {
            **MOMENTUM,
            "duration.epochs": 9,
            "guard.spike": 60.0,
            "guard.window": 20,
            "guard.lower_after": 2,
        }
    )
    data_ = poisoned(np.nan, (BAD, 30))
    whole = train(task(), plan_, data=data_, folder=tmp_path / "whole")
    part, keeping = tmp_path / "part", Keeping(Every.parse("1 updates"))
    # Between two hits, and after it is known which rows they share.
    for updates in (16, 50, None):
        limits = Limits(updates=updates)
        resumed = train(task(), plan_, data=data_, folder=part, keeping=keeping, limits=limits)
        keeping = Keeping(Every.parse("1 updates"), resume=True)
    assert ["rates are times" in event.seen for event in whole.events[:3]] == [False, True, False]
    assert [("row 30 of" in note, "row 17 of" in note) for note in whole.notes] == [
        (True, False),
        (False, True),
    ]
    assert resumed.checkpoints.resumed_at == [16, 50]
    assert resumed.events == whole.events and resumed.notes == whole.notes
    assert [p.values for p in resumed.points] == [p.values for p in whole.points]
    assert json.loads((part / "record.json").read_text())["events"][0]["examples"]


def test_keras_own_loop_ends_with_advice():
    changes = {"runtime.loop": "keras", "duration.epochs": 2}
    record = train(task(), plan(changes), data=poisoned(np.nan))
    assert (record.outcome, record.failure.kind) == ("failed", "Diverged")
    assert "names the batch" in record.failure.message
    assert record.best_value is None
    unguarded = plan({**changes, "guard.non_finite": False})
    record = train(task(), unguarded, data=poisoned(np.nan))
    assert (record.outcome, record.best_value) == ("completed", None)
    assert [event.kind for event in record.events] == ["divergence"]
    assert any("ended with a training loss of nan" in note for note in record.notes)
