"""The whole state of a training, handed out and taken back: the rest is the same to the bit."""

import keras
import numpy as np
import pytest
from engine_help import JIT, NUM_FEATURES, Run, data, plan, split, task

from slipstream.backends import TrainingState, open_program, restore_state, state_of
from slipstream.data.order import Position
from slipstream.data.splits import Data, Split
from slipstream.engine.limits import Limits
from slipstream.errors import RecordError

# 49 examples in updates of 2 * 4 are six updates an epoch and one of a single example; it is
# evaluated after four of them and at its end.
EVERYTHING = {
    "optimizer.name": "adamw",
    "optimizer.weight_decay": 0.01,
    "optimizer.ema": 0.9,
    "schedule.name": "cosine",
    "schedule.peak": 0.01,
    "batch.size": 4,
    "batch.accumulation": 2,
    "clipping.global_norm": 1.0,
    "precision.policy": "mixed_float16",
    "runtime.steps_per_execution": 2,
    "duration.evaluations_per_epoch": 2,
    "duration.epochs": 2,
}


def net():
    """A net with everything that has a state of its own; Keras' global generator is one of them."""
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.GaussianNoise(0.1, seed=3),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def binary(num):
    part = split(num, 1)
    return Split(part.x, (part.y > 0).astype("float32")[:, None])


def everything(changes):
    settings = {"loss": "binary_crossentropy", "metrics": [serialized_auc(), "accuracy"]}
    return Run(
        task(net, **settings),
        plan({**EVERYTHING, **changes}),
        Data(binary(49), binary(20)),
    )


def serialized_auc():
    return keras.metrics.serialize(keras.metrics.AUC(num_thresholds=20, name="area"))


def assert_identical(mine, other):
    ours, theirs = mine.to_arrays(), other.to_arrays()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


# PyTorch's steps are lowered or Keras' own, which draw dropout from the process's generator.
WAYS = [{"data.cache": "device"}]
if keras.backend.backend() == "torch":
    WAYS.append({"runtime.lowering": False})


@pytest.mark.parametrize("changes", WAYS, ids=str)
def test_a_training_goes_on_in_a_fresh_program_as_if_nothing_had_happened(changes):
    first = everything(changes)
    # Within the second epoch: its training metrics are of two updates.
    first.go(Limits(updates=9))
    state = first.loop.hand_out()
    assert state.position == Position(epoch=1, update=2, seed=0)
    assert all(len(group) for group in (state.weights, state.loss_scale, state.seeds))
    assert any(value.any() for value in state.metrics)
    # The same training goes on uninterrupted.
    first.go(Limits(updates=13))
    metrics = first.program.peek_metrics()
    later = first.loop.hand_out()
    first.go()
    last = first.loop.hand_out()

    other = everything(changes)
    other.go(Limits(updates=2))
    keras.random.normal((3,))
    np.random.random(5)
    other.loop.take_back(TrainingState.from_arrays(state.to_arrays()))
    assert_identical(other.loop.hand_out(), state)
    other.go(Limits(updates=13))
    assert_identical(other.loop.hand_out(), later)
    assert other.program.peek_metrics() == metrics
    other.go()
    assert other.outcome == "completed"
    assert other.loop.update == 14
    assert_identical(other.loop.hand_out(), last)
    assert other.values[-1] == first.values[-1]
    # Nothing was equal because it stood still.
    before, after = state.to_arrays(), later.to_arrays()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    groups = {"weights", "optimizer", "loss_scale", "seeds", "metrics", "position"}
    assert {name.split("/")[0] for name in moved} >= groups


def low_precision():
    """A compiled model with weights in half formats, whose optimizer sums up gradients."""
    model = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(4, activation="tanh", dtype="bfloat16"),
            keras.layers.Dense(4, activation="tanh", dtype="float16"),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.5, momentum=0.9, gradient_accumulation_steps=3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=JIT != "off" and "auto",
    )
    part = split(2)
    model._symbolic_build(data_batch=(part.x, part.y, None))
    return model


def test_half_formats_and_sums_of_gradients_survive_the_trip(backend):
    part = split(40)
    x, y = part.x.reshape(5, 1, 8, NUM_FEATURES), part.y.reshape(5, 1, 8)
    ours, theirs = low_precision(), low_precision()
    one = open_program(ours, backend, jit=False)
    one.train((x[:2], y[:2], None), None, 2)
    one.synchronize()
    state = state_of(ours)
    dtypes = {str(value.dtype) for value in state.weights}
    assert dtypes == {"bfloat16", "float16", "float32"}
    two = open_program(theirs, backend, jit=False)
    restore_state(theirs, state)
    two.resume()
    for program in (one, two):
        program.train((x[2:], y[2:], None), None, 3)
        program.synchronize()
    assert_identical(state_of(theirs), state_of(ours))
    assert not np.array_equal(state.weights[0], state_of(ours).weights[0])
    assert one.read_metrics() == two.read_metrics()


def test_the_state_of_another_training_is_refused_and_changes_nothing():
    one = Run(task(), plan({"optimizer.name": "adam"}), data(40))
    before = one.loop.hand_out()
    for changes, said in (
        ({"optimizer.momentum": 0.9}, "arrays of optimizer"),
        ({"seeds.seed": 5}, "seed 5"),
    ):
        other = Run(task(), plan(changes), data(40))
        with pytest.raises(RecordError, match=said):
            one.loop.take_back(other.loop.hand_out())
    other = Run(
        task(lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])),
        plan({"optimizer.name": "adam"}),
        data(40),
    )
    with pytest.raises(RecordError, match="4 arrays of weights; got 2"):
        one.loop.take_back(other.loop.hand_out())
    for name, value in before.variables.items():
        np.testing.assert_array_equal(one.loop.hand_out().variables[name], value)


def test_state_put_back_under_an_open_program_is_what_it_goes_on_with():
    ran = Run(task(), plan({"optimizer.name": "adam"}), data(40))
    before = ran.loop.hand_out()
    ran.go()
    after = ran.loop.hand_out()
    assert not np.array_equal(before.weights[0], after.weights[0])
    ran.loop.take_back(before)
    ran.go()
    assert_identical(ran.loop.hand_out(), after)
