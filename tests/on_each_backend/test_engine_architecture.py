"""Plans that rewrite the model: it trains, the record says what was done, gradients are right."""

import keras
import numpy as np
import pytest
from engine_help import NUM_FEATURES, data, moved, numbers, plan, run, task
from rewrite_help import Subclassed, convolutional, dense

from slipstream.data.splits import Data, Split
from slipstream.engine.train import train
from slipstream.errors import PlanError

EVERYTHING = {
    "architecture.width": 1.5,
    "architecture.separable": "fresh",
    "architecture.depth": 2.0,
    "architecture.init": "lsuv",
    "architecture.zero_gamma": True,
    "architecture.batch_norm": True,
}


def images():
    """Return a data set of small images in four classes."""

    def split(num, seed):
        labels = np.random.default_rng(seed).integers(0, 4, num)
        return Split(numbers(num, 8, 8, 2, seed=seed), labels)

    return Data(split(24, 1), split(8, 2), None)


def test_a_rewritten_model_trains_and_the_record_says_what_was_done():
    keys = {"duration.epochs": 2, "batch.size": 12}
    record = train(task(convolutional, metrics=[]), plan(EVERYTHING | keys), data=images())
    assert record.outcome == "completed", record.failure
    assert np.isfinite(record.final_values["val_loss"])
    said = {key: record.applied[key] for key in EVERYTHING}
    assert said["architecture.width"].startswith(
        "4 layers 1.5 times as wide; parameters 2,604 -> 5,632 (+116 %)"
    )
    assert "1 -> 2 blocks" in said["architecture.depth"]
    assert "lsuv: kernels of" in said["architecture.init"]
    assert said["architecture.zero_gamma"].startswith("gamma = 0 in 2 BatchNorm")
    assert "BatchNormalization after" in said["architecture.batch_norm"]
    for text in said.values():
        assert "; parameters " in text
        assert "multiply-adds " in text
    last = said["architecture.batch_norm"].split("; parameters ")[1]
    assert f"-> {record.parameters:,} " in last


def test_a_gate_gets_the_gradient_that_finite_differences_give():
    small = data(16, 8)
    ran = run(
        task(dense),
        plan(
            {
                "architecture.residual": "gated",
                "duration.epochs": 1,
                "batch.size": 16,
                "schedule.peak": 0.25,
            }
        ),
        small,
    )
    initial = [np.array(value, np.float64) for value in ran.initial]
    gate = next(i for i, v in enumerate(ran.model.weights) if v.shape == (8,) and "gate" in v.path)
    assert not initial[gate].any()
    names = [variable.path for variable in ran.model.weights]
    w = dict(zip(names, initial, strict=True))

    def loss(values):
        def layer(x, name):
            return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

        h = np.maximum(layer(small.train.x, "hidden_0"), 0)
        f = np.maximum(layer(np.maximum(layer(h, "hidden_1"), 0), "hidden_2"), 0)
        logits = layer(f + values * h, "logits")
        right = logits[np.arange(16), small.train.y]
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - right)

    step = 1e-4 * np.eye(8)
    slope = [(loss(row) - loss(-row)) / 2e-4 for row in step]
    change = ran.model.get_weights()[gate] - initial[gate]
    np.testing.assert_allclose(change, -0.25 * np.array(slope), rtol=1e-3, atol=1e-6)


def test_frozen_normalization_learns_nothing_and_keeps_its_averages():
    ran = run(
        task(convolutional, metrics=[]),
        plan({"architecture.freeze_batch_norm": True, "duration.epochs": 1, "batch.size": 12}),
        images(),
    )
    for variable, before in zip(ran.model.weights, ran.initial, strict=True):
        is_norm = "norm" in variable.path
        after = keras.ops.convert_to_numpy(variable.value)
        assert np.array_equal(after, before) == is_norm, variable.path
    said = ran.built.applied["architecture.freeze_batch_norm"]
    assert said == "2 layers keep their averages"
    assert moved(ran.initial, ran.model.get_weights()) > 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_norm", True),
        ("residual", "plain"),
        ("freeze_batch_norm", True),
        ("base", "MobileNetV2"),
    ],
)
def test_what_a_model_does_not_bear_is_refused_with_the_key(key, value):
    with pytest.raises(PlanError, match=f"architecture.{key} = "):
        train(task(Subclassed), plan({f"architecture.{key}": value}), data=data())


def test_a_model_without_a_graph_can_be_drawn_anew():
    record = train(
        task(Subclassed), plan({"architecture.init": "lsuv", "duration.epochs": 1}), data=data()
    )
    assert record.applied["architecture.init"].startswith("lsuv: kernels of 1 layers, 1 of them")
    assert f"multiply-adds {3 * NUM_FEATURES:,} as before" in record.applied["architecture.init"]
