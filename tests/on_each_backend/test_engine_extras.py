"""What goes around the update: SAM, snapshots, Lookahead, groups, renewed statistics."""

import keras
import numpy as np
import pytest
from engine_help import JIT, Run, data, in_order, numbers, plan, run, split, task

from slipstream.data.splits import Data, Split
from slipstream.engine.build import build
from slipstream.engine.evaluation import weights_for_evaluation
from slipstream.engine.limits import Limits
from slipstream.errors import PlanError
from slipstream.ops.norm_statistics import batches_for_norms, renew_norms

RATE, SIZE = 0.05, 4


def linear_net():
    return keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(1, use_bias=False)])


def linear_data():
    x = numbers(22, SIZE)
    y = (x @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 0.1).astype("float32")
    return Data(Split(x, y), Split(x, y))


def linear_run(changes):
    plan_ = plan({"schedule.peak": RATE, "duration.epochs": 2, **changes})
    return run(task(linear_net, loss="mse", metrics=()), plan_, linear_data())


def linear_updates(epochs=2):
    """Yield the gradient of each update as a function of the weights: 8, 8 and 6 examples."""
    for epoch in range(epochs):
        part = in_order(linear_data().train, 0, epoch)
        for start in range(0, 22, 8):
            x, y = (a[start : start + 8].astype("float64") for a in (part.x, part.y))
            yield lambda w, x=x, y=y: 2 * x.T @ (x @ w - y) / len(x)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_sam_follows_the_gradient_of_the_worst_point_nearby(accumulation):
    batch = {"batch.size": 8 // accumulation, "batch.accumulation": accumulation}
    ran = linear_run({"optimizer.sam": 0.5, **batch})
    w = ran.initial[0].astype("float64")
    plain = w
    for gradient in linear_updates():
        plain = plain - RATE * gradient(plain)
        g = gradient(w)
        w = w - RATE * gradient(w + 0.5 * g / np.linalg.norm(g))
    assert np.abs(w - plain).max() > 1e-2
    np.testing.assert_allclose(ran.model.get_weights()[0], w, rtol=1e-4, atol=1e-5)
    assert ran.built.applied["optimizer.sam"] == "two gradients an update, radius 0.5"


def noisy_net():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Dropout(0.3, seed=5),
            layers.Dense(3),
        ]
    )


def test_the_second_pass_of_sam_leaves_no_traces():
    # At a rate of nearly nothing the weights stay: everything else must be as without it.
    changes = {"schedule.peak": 1e-30, "duration.epochs": 1}
    plain, sharp = (
        run(task(noisy_net), plan({**changes, "optimizer.sam": radius}), data(20))
        for radius in (0.0, 0.5)
    )
    ones, others = (
        [np.asarray(keras.ops.convert_to_numpy(v)) for v in ran.model.non_trainable_variables]
        for ran in (plain, sharp)
    )
    assert len(ones) == 3
    for mine, theirs in zip(ones, others, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-7)
    for mine, theirs in zip(plain.model.get_weights(), sharp.model.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-7)
    for name in ("loss", "accuracy"):
        assert sharp.values[0][name] == pytest.approx(plain.values[0][name], rel=1e-5)


def test_sam_of_a_model_with_its_own_step_is_refused():
    class Own(keras.Model):
        def train_step(self, *args):
            return super().train_step(*args)

    def model():
        x = keras.Input((5,))
        return Own(x, keras.layers.Dense(3)(x))

    with pytest.raises(PlanError, match=r"optimizer\.sam = 0"):
        build(task(model), plan({"optimizer.sam": 0.1}), data(), 0.1)


def test_the_mean_of_the_last_epochs_is_what_is_judged():
    ran = linear_run({"duration.epochs": 4, "optimizer.swa": 0.5, "optimizer.lookahead": 2})
    w = slow = ran.initial[0].astype("float64")
    ends = []
    for t, gradient in enumerate(linear_updates(4), start=1):
        w = w - RATE * gradient(w)
        if t % 2 == 0:
            slow = w = slow + 0.5 * (w - slow)
        if t % 3 == 0:
            ends.append(w)
    judged = [*ends[:3], (ends[2] + ends[3]) / 2]
    part = linear_data().validation
    losses = [np.mean((part.x @ w - part.y) ** 2) for w in judged]
    assert [v["val_loss"] for v in ran.values] == pytest.approx(losses, rel=1e-4)
    # Training itself goes on from the weights, not from their mean.
    np.testing.assert_allclose(ran.model.get_weights()[0], w, rtol=1e-4, atol=1e-5)
    assert ran.built.applied["optimizer.swa"] == "snapshots from update 9 on"
    assert ran.built.applied["optimizer.lookahead"] == "every 2 updates"


ALL_AT_ONCE = {
    "optimizer.name": "nadam",
    "optimizer.weight_decay": 0.1,
    "optimizer.lookahead": 2,
    "optimizer.swa": 0.9,
    "optimizer.sam": 0.05,
    "optimizer.norm_batches": 2,
    "groups.layer_decay": 0.5,
    "groups.pattern": "bias|beta",
    "groups.rate": 0.0,
    "clipping.global_norm": 0.5,
    "batch.accumulation": 2,
    "precision.policy": "mixed_float16",
    "schedule.peak": 0.01,
    "runtime.jit": JIT,
}


def test_everything_at_once_goes_on_where_it_stopped():
    make = lambda: Run(task(noisy_net), plan(ALL_AT_ONCE), data(24, 8))  # noqa: E731
    whole = make().go()
    first = make().go(Limits(updates=2))
    state = first.loop.hand_out()
    second = make()
    second.loop.take_back(state)
    second.go()
    for mine, theirs in zip(second.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert second.values[-1]["val_loss"] == whole.values[-1]["val_loss"]
    # A factor of zero freezes: the biases are still zero, the kernels are not what they were.
    names = [v.path.rpartition("/")[2] for v in whole.model.weights]
    for name, before, after in zip(names, whole.initial, whole.model.get_weights(), strict=True):
        if name in ("bias", "beta"):
            np.testing.assert_array_equal(after, before)
        if name == "kernel":
            assert np.abs(after - before).max() > 1e-4
    applied = whole.built.applied
    assert applied["groups.rate"] == "on 3 of 6 variables"
    assert applied["groups.layer_decay"] == "factors from 0 to 1"
    assert applied["optimizer.norm_batches"] == "for 1 BatchNormalization layers"
    assert {"optimizer.sam", "optimizer.lookahead", "optimizer.swa"} <= set(applied)


@pytest.mark.parametrize(("pattern", "says"), [("backbone/", "the paths are"), ("(", "regular")])
def test_a_pattern_that_names_nothing_is_refused_with_the_paths(pattern, says):
    plan_ = plan({"groups.pattern": pattern, "groups.rate": 0.1})
    with pytest.raises(PlanError, match=says):
        build(task(), plan_, data(), 0.1)


def test_statistics_are_the_mean_of_the_batches_own_and_are_put_back():
    ran = run(task(noisy_net), plan({"optimizer.ema": 0.9, "duration.epochs": 1}), data(40))
    model, train = ran.model, split(40, 1)
    kept = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    batches = batches_for_norms(train.x, 8, 3, seed=0)
    with weights_for_evaluation(model, lambda model: renew_norms(model, batches)):
        kernel, bias, *_, mean, variance = model.get_weights()[:6]
        hidden = [np.maximum(batch @ kernel + bias, 0) for batch in batches]
        np.testing.assert_allclose(mean, np.mean([h.mean(0) for h in hidden], 0), rtol=1e-4)
        np.testing.assert_allclose(variance, np.mean([h.var(0) for h in hidden], 0), rtol=1e-4)
        assert not np.array_equal(kernel, kept[0])
        assert model.layers[1].momentum == 0.8
    for variable, value in zip(model.variables, kept, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    assert ran.built.applied["optimizer.norm_batches"] == "for 1 BatchNormalization layers"


@pytest.mark.parametrize(
    ("share", "num_renewed", "snapshots", "says"),
    [
        (0.5, 0, "one snapshot, of update 15", "not needed: one snapshot is no average"),
        (0.7, 1, "snapshots from update 10 on", "for 1 BatchNormalization layers"),
    ],
)
def test_one_snapshot_keeps_the_statistics_and_the_record_says_so(
    share, num_renewed, snapshots, says
):
    changes = {"optimizer.swa": share, "duration.epochs": 3, "batch.size": 8}
    ran = run(task(noisy_net), plan(changes), data(40))
    renewed = []
    with weights_for_evaluation(ran.model, renewed.append):
        assert len(renewed) == num_renewed
    assert ran.built.applied["optimizer.swa"] == snapshots
    assert ran.built.applied["optimizer.norm_batches"] == says
