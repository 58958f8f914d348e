"""Training in two phases, against Keras compiled twice and stepped by hand."""

import keras
import numpy as np
import pytest
from engine_help import (
    NUM_CLASSES,
    NUM_FEATURES,
    Run,
    assert_same_weights,
    data,
    in_order,
    plan,
    run,
    sparse_loss,
    task,
)
from rewrite_help import once

from slipstream.engine.limits import Limits
from slipstream.engine.rates import applied_to_rates
from slipstream.errors import PlanError

# Elsewhere every run compiles its step twice.
ON_TORCH = keras.backend.backend() == "torch"
SPE = 4 if keras.backend.backend() == "jax" else 1
# 40 examples in batches of 8 are 5 updates an epoch: the change is within the second one.
TWO = {"transfer.frozen": "7 steps", "transfer.rate": 0.25, "runtime.steps_per_execution": SPE}


def net():
    """Return a head on a base with a normalization in it."""
    base = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(6, activation="tanh", name="inner"),
            keras.layers.BatchNormalization(name="norm"),
        ],
        name="base",
    )
    inputs = keras.Input((NUM_FEATURES,))
    outputs = keras.layers.Dense(NUM_CLASSES, name="head")(base(inputs))
    return keras.Model(inputs, outputs)


def by_path(model):
    """Return the weights of a model by path."""
    return {v.path: keras.ops.convert_to_numpy(v.value).copy() for v in model.weights}


def compiled_twice(changes, initial, optimizer, rates):
    """Return the weights after Keras' own steps, compiled anew for the second phase."""
    the_plan, the_data = plan(TWO | changes), data()
    model = net()
    model.set_weights(initial)
    base, norm = model.get_layer("base"), model.get_layer("base").layers[-1]
    update = 0
    for epoch in range(3):
        split = in_order(the_data.train, the_plan.seeds.seed, epoch)
        for start in range(0, 40, 8):
            if update in (0, 7):
                base.trainable = update == 7
                norm.trainable = changes.get("transfer.batch_norm") == "trained" and update == 7
                model.compile(
                    optimizer(0.1),
                    keras.losses.deserialize(sparse_loss()),
                    jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
                )
            model.optimizer.learning_rate = rates[update]
            model.train_on_batch(split.x[start : start + 8], split.y[start : start + 8])
            update += 1
    return model.get_weights()


@pytest.mark.parametrize("norm", ["frozen", "trained"] if ON_TORCH else ["frozen"])
def test_two_phases_are_two_compilations_of_keras(norm):
    changes = {"optimizer.name": "adam", "transfer.batch_norm": norm, "schedule.name": "linear"}
    ran = run(task(net), plan(TWO | changes), data())
    slope = 0.1 * (1 - np.arange(15) / 15)
    rates = np.where(np.arange(15) < 7, slope, 0.25 * slope)
    np.testing.assert_allclose(ran.rates, rates, rtol=1e-6)
    expected = compiled_twice(changes, ran.initial, keras.optimizers.Adam, rates)
    assert_same_weights(ran.model.get_weights(), expected, rtol=2e-4, atol=2e-5)
    applied = ran.built.applied | applied_to_rates(plan(TWO | changes), ran.feed)
    assert applied["transfer.base"] == "'base', 60 parameters"
    assert applied["transfer.frozen"] == "the first 7 of 15 updates"
    assert applied["transfer.rate"] == "times 0.25 after that"
    assert applied["transfer.batch_norm"].startswith("1 layers in the base, ")
    assert [note for note in ran.built.notes if note.startswith("After update 7 the base learns")]


def test_the_base_stays_bit_for_bit_until_its_phase_and_its_normalization_throughout():
    one_by_one = {"duration.epochs": 2, "runtime.steps_per_execution": 1}
    ran = Run(task(net), plan(TWO | one_by_one), data())
    before = by_path(ran.model)
    ran.loop.run(Limits(updates=7))
    ran.loop.synchronize()
    frozen = by_path(ran.model)
    ran.loop.run(Limits())
    after = by_path(ran.model)
    for path, value in before.items():
        in_base, is_norm = "head" not in path, "norm" in path
        assert np.array_equal(value, frozen[path]) == in_base, path
        assert np.array_equal(value, after[path]) == is_norm, path
    assert np.isfinite(ran.values[-1]["loss"])
    # The metrics of the epoch in which the phases change are those of all its updates.
    assert len(ran.values) == 2


def test_a_state_of_either_phase_is_taken_back_bit_for_bit():
    the_plan = plan(TWO | {"optimizer.name": "adam"})
    whole = run(task(net), the_plan, data())
    for updates in (4, 12) if ON_TORCH else (12,):
        first = Run(task(net), the_plan, data())
        first.loop.run(Limits(updates=updates))
        state = first.loop.hand_out()
        second = Run(task(net), the_plan, data())
        second.loop.take_back(state)
        second.loop.run(Limits())
        assert_same_weights(second.model.get_weights(), whole.model.get_weights(), rtol=0, atol=0)


def test_layers_can_be_named_and_what_was_frozen_before_stays_so():
    def flat():
        model = keras.Sequential([keras.Input((NUM_FEATURES,))])
        for name in ("old_1", "old_2", "new_1", "new_2"):
            model.add(keras.layers.Dense(NUM_CLASSES, name=name))
        model.get_layer("old_1").trainable = False
        return model

    changes = {"transfer.frozen": 0.5, "transfer.base": "^old_", "duration.epochs": 2}
    ran = run(task(flat), plan(changes), data())
    for variable, before in zip(ran.model.weights, ran.initial, strict=True):
        same = np.array_equal(keras.ops.convert_to_numpy(variable.value), before)
        assert same == ("old_1" in variable.path)
    assert ran.built.applied["transfer.base"].startswith("2 layers named by '^old_'")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transfer.base": "nothing"}, "a pattern that is found"),
        ({"transfer.base": "("}, "a regular expression"),
        ({"transfer.base": "."}, "a head beside the base"),
        ({"transfer.frozen": "900 steps"}, "within the run of 15 updates"),
        (
            {"optimizer.swa": 0.9, "transfer.frozen": "12 steps"},
            "optimizer.swa = 0.9.* and transfer.frozen",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_training(changes, message):
    with pytest.raises(PlanError, match=message):
        run(task(net), plan(TWO | changes), data())


def test_phases_go_with_what_else_goes_around_an_update():
    changes = {
        "optimizer.name": "adamw",
        "optimizer.weight_decay": 0.01,
        "optimizer.ema": 0.5,
        "optimizer.lookahead": 2,
        "groups.pattern": "inner",
        "groups.rate": 0.5,
        "regularization.l2": 1e-3,
        "clipping.global_norm": 1.0,
        "batch.accumulation": 2,
        "batch.size": 4,
        "schedule.plateau_patience": 1,
    }
    ran = run(task(net), plan(TWO | changes), data())
    assert ran.outcome == "completed"
    assert all(np.isfinite(values["loss"]) for values in ran.values)


@once
def test_loss_scaling_counts_skipped_updates_in_both_phases():
    ran = run(task(net), plan(TWO | {"precision.policy": "mixed_float16"}), data())
    assert ran.outcome == "completed"
    assert [values["skipped_updates"] for values in ran.values] == [0.0, 0.0, 0.0]
