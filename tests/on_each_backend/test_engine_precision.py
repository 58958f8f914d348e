"""Hybrid precision, loss scaling and hints: what stays in float32, and what a record says."""

import keras
import pytest
from engine_help import NUM_FEATURES, data, moved, plan, run, task

from slipstream.data.splits import Data, Split
from slipstream.engine import train
from slipstream.engine.build import build
from slipstream.engine.hybrid import culprits
from slipstream.errors import PlanError

HYBRID = {"precision.policy": "mixed_float16", "precision.float32_layers": "auto"}


@keras.saving.register_keras_serializable()
class Shares(keras.layers.Layer):
    """Positive numbers that add up to 1: on the way there they leave float16's range."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")
        self.built = True

    def call(self, x):
        # From exp(12) = 162755 on.
        x = keras.ops.exp(15 + 3 * keras.ops.tanh(x * self.scale))
        return x / keras.ops.sum(x, axis=-1, keepdims=True)


def net():
    layers = keras.layers
    inner = [layers.Dense(8, activation="relu", name="second"), Shares(name="shares")]
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            layers.Dense(16, activation="tanh", name="first"),
            layers.Dropout(0.2, name="drop"),
            keras.Sequential([keras.Input((16,)), *inner], name="inner"),
            layers.Dense(8, activation="tanh", name="third"),
            layers.Dense(3, name="logits"),
        ]
    )


def formats(model):
    return {
        layer.name: layer.compute_dtype
        for layer in model._flatten_layers()
        if not isinstance(layer, keras.Model | keras.layers.InputLayer)
    }


IN_16_BITS = dict.fromkeys(("first", "drop", "second", "third"), "float16")


def test_the_layer_that_overflows_and_no_other_stays_in_float32():
    plan_ = plan({**HYBRID, "duration.epochs": 2, "schedule.peak": 0.01})
    ran = run(task(net), plan_, data(45))
    assert formats(ran.model) == {**IN_16_BITS, "shares": "float32", "logits": "float32"}
    applied = ran.built.applied["precision.float32_layers"]
    assert applied == "shares: of 5 layers, by measurement"
    assert moved(ran.initial, ran.model.get_weights()) > 1e-4
    assert ran.values[-1]["skipped_updates"] == 0
    assert ran.model.get_layer("drop").rate == 0.2


def test_layers_that_are_named_and_those_that_are_not_there():
    named = {**HYBRID, "precision.float32_layers": "second, shares"}
    built = build(task(net), plan(named), data(20), 0.1)
    expected = {**IN_16_BITS, "second": "float32", "shares": "float32", "logits": "float32"}
    assert formats(built.model) == expected
    assert built.applied["precision.float32_layers"] == "second, shares"
    with pytest.raises(PlanError, match="Did you mean 'second'"):
        build(task(net), plan({**HYBRID, "precision.float32_layers": "secnd"}), data(20), 0.1)


def test_bfloat16_has_the_range_and_needs_no_layer():
    built = build(task(net), plan({**HYBRID, "precision.policy": "mixed_bfloat16"}), data(20), 0.1)
    assert built.applied["precision.float32_layers"] == "none of 5 layers, by measurement"
    assert formats(built.model)["shares"] == "bfloat16"


def test_each_part_that_is_not_sound_is_found_in_few_tests():
    tests = []

    def is_sound(parts):
        tests.append(parts)
        return not {3, 17, 18} & set(parts)

    assert sorted(culprits(range(40), is_sound)) == [3, 17, 18]
    assert len(tests) <= 4 + 3 * 6


def overflowing(part):
    """Data of which the first example leaves float16's range."""
    x = part.x.copy()
    x[0] = 1e6
    return Split(x, part.y)


def test_an_overflow_is_skipped_counted_and_not_in_what_is_measured():
    def plain_net():
        return keras.Sequential(
            [
                keras.Input((NUM_FEATURES,)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.Dense(3),
            ]
        )

    whole = data(45)
    changes = {
        "precision.policy": "mixed_float16",
        "batch.size": 4,
        "batch.accumulation": 2,
        "duration.epochs": 2,
        "schedule.peak": 0.01,
    }
    data_ = Data(overflowing(whole.train), whole.validation, whole.test)
    ran = run(task(plain_net), plan(changes), data_)
    assert ran.outcome == "completed"
    assert [values["skipped_updates"] for values in ran.values] == [1, 1]
    assert all(0 < values["loss"] < 10 for values in ran.values)
    assert "Loss scaling: 2 of 12 updates overflowed" in ran.built.notes[-1]
    assert moved(ran.initial, ran.model.get_weights()) > 1e-4


def test_a_net_that_only_overflows_is_told_and_how_to_mend_it():
    record = train(task(net), plan({"precision.policy": "mixed_float16"}), data=data(45))
    assert record.outcome == "failed"
    assert record.final_values["skipped_updates"] == record.updates == 6
    assert "precision.float32_layers" in record.failure.message


def test_a_model_made_elsewhere_is_scaled_too_and_odd_sizes_are_hinted_at():
    model = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(10, name="ten"),
            keras.layers.Dense(8, name="eight"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    built = build(
        task(lambda: model), plan({"precision.policy": "mixed_float16", "batch.size": 12}),
        data(20), 0.1,
    )  # fmt: skip
    assert isinstance(built.model.optimizer, keras.optimizers.LossScaleOptimizer)
    (hint,) = [note for note in built.notes if "multiple of 8" in note]
    assert "ten (10), batch.size (12)" in hint and "eight" not in hint


def test_tensor_float32_says_what_it_does_here():
    record = train(task(), plan({"precision.tf32": "on", "duration.epochs": 1}), data=data(8))
    said = record.applied["precision.tf32"]
    assert said in ("no effect: there is no GPU", "on")
