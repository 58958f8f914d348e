"""How updates are packed for the backend changes nothing in what is learned."""

import keras
import numpy as np
import pytest
from engine_help import (
    NUM_FEATURES,
    Run,
    assert_same_weights,
    data,
    in_order,
    moved,
    plan,
    run,
    task,
)

from slipstream.ops.schedules import learning_rates

COSINE = {"schedule.name": "cosine", "schedule.warmup": 0.2}


@pytest.fixture(scope="module")
def one_by_one():
    return run(task(), plan(COSINE), data(45))


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime.steps_per_execution": 2},
        {"runtime.steps_per_execution": 5, "data.cache": "device"},
        {"runtime.steps_per_execution": 3, "duration.evaluations_per_epoch": 4},
        {"data.cache": "device"},
    ],
    ids=lambda changes: ",".join(f"{k.split('.')[1]}={v}" for k, v in changes.items()),
)
def test_the_same_weights_however_updates_are_packed(one_by_one, changes):
    other = run(task(), plan({**COSINE, **changes}), data(45))
    assert moved(one_by_one.initial, one_by_one.model.get_weights()) > 0.01
    assert_same_weights(other.model.get_weights(), one_by_one.model.get_weights(), rtol=1e-5)
    # 45 examples in batches of 8 are six updates an epoch, the last one smaller.
    assert other.loop.update == one_by_one.loop.update == 18
    assert other.loop.examples == one_by_one.loop.examples == 135
    assert other.values[-1]["val_loss"] == pytest.approx(
        one_by_one.values[-1]["val_loss"], rel=1e-5
    )


def test_evaluations_within_an_epoch_see_the_weights_of_their_update():
    four = Run(task(), plan({"duration.evaluations_per_epoch": 3, "duration.epochs": 1}), data(48))
    four.go()
    assert [point.step for point in four.recorder.points] == [2, 4, 6]
    assert [point.epoch for point in four.recorder.points] == pytest.approx([1 / 3, 2 / 3, 1.0])
    two = Run(task(), plan({"duration.epochs": 1}), data(48))
    for block in list(two.feed.epoch(0))[:2]:
        two.program.train(block.arrays, np.full(1, 0.1, np.float32), 1)
    two.program.synchronize()
    two.model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    validation = data().validation
    expected = two.model.evaluate(validation.x, validation.y, verbose=0, return_dict=True)["loss"]
    assert four.values[0]["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_micro_batches_equal_one_large_batch():
    # 45 = one update of 32 and one of 13 a epoch: in batches of 8 the second is 8 + 5.
    small = {"batch.size": 8, "batch.accumulation": 4, "optimizer.momentum": 0.9}
    large = {"batch.size": 32, "optimizer.momentum": 0.9}
    penalty = {"regularization.l2": 0.01, "clipping.global_norm": 0.5, **COSINE}
    ours = run(task(), plan({**small, **penalty}), data(45))
    whole = run(task(), plan({**large, **penalty}), data(45))
    assert ours.loop.update == whole.loop.update == 6
    assert moved(ours.initial, ours.model.get_weights()) > 0.01
    assert_same_weights(ours.model.get_weights(), whole.model.get_weights(), rtol=1e-6, atol=1e-6)
    for mine, other in zip(ours.values, whole.values, strict=True):
        assert mine == pytest.approx(other, rel=1e-5)


def test_micro_batches_on_the_device_and_several_updates_a_call():
    base = {"batch.size": 4, "batch.accumulation": 3, "optimizer.name": "adam"}
    host = run(task(), plan(base), data(45))
    device = run(
        task(), plan({**base, "data.cache": "device", "runtime.steps_per_execution": 2}), data(45)
    )
    assert_same_weights(host.model.get_weights(), device.model.get_weights(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_each_update_has_the_rate_of_the_schedule(steps):
    """The task's loss is linear in the one weight, so SGD sums up the rates."""

    def net():
        return keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
        )

    def minus_prediction(y, prediction):
        return -prediction[:, 0] + 0 * y

    changes = {"schedule.name": "one_cycle", "schedule.warmup": 0.3, "schedule.peak": 0.7}
    plan_ = plan({**changes, "runtime.steps_per_execution": steps, "batch.accumulation": 2})
    data_ = data(64)
    ones = type(data_.train)(np.ones((64, 1), "float32"), np.zeros(64, "float32"))
    data_ = type(data_)(ones, ones)
    seen = []

    def note(event):
        if hasattr(event, "point"):
            seen.append((event.point.step, event.learning_rate))

    ran = run(task(net, loss=minus_prediction, metrics=()), plan_, data_, observers=[note])
    rates = learning_rates(plan_.schedule, 12)
    np.testing.assert_allclose(ran.model.get_weights()[0], rates.sum(), rtol=1e-5)
    assert seen == [
        (4, np.float32(rates[3])),
        (8, np.float32(rates[7])),
        (12, np.float32(rates[11])),
    ]
    sgd = ran.model.optimizer
    assert float(sgd.learning_rate) == pytest.approx(rates[-1], rel=1e-6)


def recorder_net():
    """A net that adds what it is fed to a variable, in the order in which it comes."""

    @keras.saving.register_keras_serializable()
    class Notes(keras.layers.Layer):
        def build(self, shape):
            self.seen = self.add_weight(
                shape=(3 * 40,), initializer="zeros", trainable=False, name="seen"
            )
            self.place = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="place", dtype="int32"
            )

        def call(self, x, training=False):
            if training:
                size = x.shape[0]
                position = self.place + keras.ops.arange(size, dtype="int32")
                updates = keras.ops.scatter(position[:, None], x[:, 0], (3 * 40,))
                self.seen.assign_add(updates)
                self.place.assign_add(size)
            return x

    inputs = keras.Input((NUM_FEATURES,))
    return keras.Model(inputs, keras.layers.Dense(3)(Notes()(inputs)))


@pytest.mark.parametrize(
    "changes", [{}, {"runtime.steps_per_execution": 4, "data.cache": "device"}]
)
def test_the_model_sees_the_examples_in_the_order_of_seed_and_epoch(changes):
    data_ = data(40)
    ran = run(task(recorder_net), plan({"seeds.seed": 3, **changes}), data_)
    seen = next(np.array(v) for v in ran.model.variables if v.name == "seen").reshape(3, 40)
    for epoch in range(3):
        expected = in_order(data_.train, 3, epoch).x[:, 0]
        np.testing.assert_array_equal(seen[epoch], expected)
    assert not np.array_equal(seen[0], seen[1])
