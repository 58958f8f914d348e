"""Bounds on the gradient against NumPy, through whole runs, and what the record says of them."""

import keras
import numpy as np
import pytest
from engine_help import (
    NUM_FEATURES,
    Run,
    assert_same_weights,
    data,
    in_order,
    numbers,
    plan,
    run,
    task,
)

from slipstream.data.splits import Data, Split
from slipstream.engine.optimizers import build_optimizer
from slipstream.engine.train import train
from slipstream.ops.clipping import clip_units

RATE = 0.05
SIZE = 4
BOUNDS = {
    "clipping.value": 4.0,
    "clipping.norm": 5.0,
    "clipping.global_norm": 5.0,
    "clipping.quantile": 0.4,
}


def linear_net():
    return keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(1, use_bias=False)])


def linear_data():
    x = numbers(24, SIZE)
    y = (x @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 0.1).astype("float32")
    return Data(Split(x, y), Split(x, y))


def bounded(gradient, key, norms):
    """Return a gradient as the formula has it; `norms` are those so far, this one included."""
    bound = BOUNDS[key]
    if key == "clipping.value":
        return np.clip(gradient, -bound, bound)
    if key == "clipping.quantile":
        # Windows of three norms.
        bound = np.quantile(norms[-3:], bound)
    return gradient * min(1.0, bound / np.linalg.norm(gradient))


@pytest.mark.parametrize("key", BOUNDS)
def test_a_run_moves_by_the_bounded_gradient_and_notes_norm_and_share(key):
    changes = {
        key: BOUNDS[key],
        **({"clipping.window": 3} if key == "clipping.quantile" else {}),
        "schedule.peak": RATE,
        "batch.size": 4,
        "batch.accumulation": 2,
        "runtime.steps_per_execution": 2,
        "duration.epochs": 2,
    }
    ran = run(task(linear_net, loss="mse", metrics=()), plan(changes), linear_data())
    (weights,) = (w.astype("float64") for w in ran.initial)
    norms, exceeded = [], []
    for epoch in range(2):
        part = in_order(linear_data().train, 0, epoch)
        for start in range(0, 24, 8):
            x, y = (a[start : start + 8].astype("float64") for a in (part.x, part.y))
            gradient = 2 * x.T @ (x @ weights - y) / 8
            norms.append(np.linalg.norm(gradient))
            clipped = bounded(gradient, key, norms)
            exceeded.append(not np.allclose(clipped, gradient))
            weights = weights - RATE * clipped
    assert_same_weights(ran.model.get_weights(), [weights], rtol=1e-4)
    for epoch, values in enumerate(ran.values):
        its = slice(3 * epoch, 3 * epoch + 3)
        assert values["gradient_norm"] == pytest.approx(np.mean(norms[its]), rel=1e-4)
        assert values["clipped_share"] == pytest.approx(np.mean(exceeded[its]))
    assert any(exceeded)


def test_keras_own_loop_runs_keras_own_clipping_and_nothing_else():
    model = linear_net()
    keras_loop = {"runtime.loop": "keras"}
    for key in ("value", "norm", "global_norm"):
        optimizer = build_optimizer(plan({f"clipping.{key}": 0.5, **keras_loop}), model, 1.0)
        assert not hasattr(optimizer, "clip_watch")
    assert hasattr(build_optimizer(plan({"clipping.adaptive": 0.5}), model, 1.0), "clip_watch")


def test_nothing_is_noted_where_nothing_clips():
    values = run(task(linear_net, loss="mse", metrics=()), plan(), linear_data()).values
    assert not any("gradient_norm" in point for point in values)


def two_layers():
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(4, name="hidden"),
            keras.layers.Dense(2, name="logits"),
            keras.layers.Activation("softmax"),
        ]
    )


def test_the_adaptive_bound_is_by_unit_and_spares_the_output_layer():
    model = two_layers()
    optimizer = build_optimizer(plan({"clipping.adaptive": 0.1}), model, 1.0)
    before = [np.array(variable) for variable in model.trainable_variables]
    drawn = [0.1 * 10.0**i * numbers(*w.shape, seed=i) for i, w in enumerate(before)]
    optimizer.apply([keras.ops.array(g) for g in drawn], model.trainable_variables)
    steps = [b - np.array(v) for b, v in zip(before, model.trainable_variables, strict=True)]
    for column in range(4):
        largest = 0.1 * max(np.linalg.norm(before[0][:, column]), 1e-3)
        gradient = drawn[0][:, column]
        factor = min(1.0, largest / np.linalg.norm(gradient))
        np.testing.assert_allclose(steps[0][:, column], factor * gradient, rtol=1e-4, atol=1e-6)
    # The bias of the hidden layer is one unit, and begins at zero.
    np.testing.assert_allclose(np.linalg.norm(steps[1]), 0.1 * 1e-3, rtol=1e-3)
    np.testing.assert_allclose(steps[2], drawn[2], rtol=1e-4)
    np.testing.assert_allclose(steps[3], drawn[3], rtol=1e-4)


@pytest.mark.parametrize(("name", "axes"), [("kernel", (0, 1, 2)), ("depthwise_kernel", (0, 1))])
def test_units_of_convolutions_are_filters(name, axes):
    kernel = keras.Variable(numbers(3, 3, 4, 2), name=name)
    gradient = numbers(3, 3, 4, 2, seed=1)
    (got,) = clip_units([keras.ops.array(gradient)], [kernel], 0.5)
    largest = 0.5 * np.sqrt(np.square(numbers(3, 3, 4, 2)).sum(axis=axes, keepdims=True))
    slope = np.sqrt(np.square(gradient).sum(axis=axes, keepdims=True))
    expected = gradient * np.minimum(1.0, largest / slope)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(got), expected, rtol=1e-5)


def test_the_gradient_of_an_embedding_is_bounded_too():
    def words():
        return keras.Sequential(
            [
                keras.Input((3,), dtype="int32"),
                keras.layers.Embedding(7, 2),
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )

    x = np.random.default_rng(0).integers(0, 7, (16, 3))
    y = 100 * numbers(16, 1)
    for key in ("adaptive", "quantile", "norm"):
        changes = {f"clipping.{key}": 0.01, "duration.epochs": 1}
        ran = Run(
            task(words, loss="mse", metrics=()), plan(changes), Data(Split(x, y), Split(x, y))
        )
        assert ran.go().values[0]["clipped_share"] > 0


@pytest.mark.parametrize("key", ["clipping.adaptive", "clipping.quantile"])
@pytest.mark.parametrize("own", [True, False], ids=["slipstream", "keras"])
def test_bounds_of_ours_see_the_gradient_without_the_scale_of_its_loss(key, own):
    # On PyTorch through Keras' own calls too, which must not make a graph of what is noted.
    changes = {key: 0.3, "duration.epochs": 1, "schedule.peak": 0.001, "runtime.lowering": own}
    changes["runtime.loop"] = "slipstream" if own else "keras"
    records = [
        train(task(), plan({**changes, "precision.policy": policy}), data=data())
        for policy in ("float32", "mixed_float16")
    ]
    exact, halved = (record.points[0].values for record in records)
    assert not halved.get("skipped_updates")
    assert halved["gradient_norm"] == pytest.approx(exact["gradient_norm"], rel=0.02)
    assert 0 < halved["clipped_share"] <= 1
