"""Looks into a model while it trains: right, without a trace, and telling what they find."""

import gzip
import json

import keras
import numpy as np
import pytest
from engine_help import NUM_CLASSES, NUM_FEATURES, Run, data, numbers, plan, task

from slipstream.backends import open_looker
from slipstream.data.splits import Data, Split
from slipstream.engine import Looked, Pictured, Signalled, train
from slipstream.errors import PlanError

LOOKING = {"monitoring.layers_every": 1, "monitoring.histograms": True}


def mixed_net():
    """Return a net with everything that a careless look would change."""
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.4, name="drop"),
            keras.layers.Dense(NUM_CLASSES, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def looked_at():
    """A monitored run, and what its observers saw."""
    seen = []
    run = Run(task(mixed_net), plan(LOOKING), data(), observers=[seen.append]).go()
    return run, seen


def test_looks_leave_the_training_as_it_is(looked_at):
    run, _ = looked_at
    plain = Run(task(mixed_net), plan(), data()).go()
    for mine, other in zip(run.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert run.values == plain.values


def test_a_look_hands_out_weights_gradients_and_activations(looked_at):
    run, seen = looked_at
    looks = [event for event in seen if isinstance(event, Looked)]
    assert [look.layers.step for look in looks] == [0, 5, 10, 15]
    first = looks[0]
    paths = [variable.path for variable in run.model.trainable_variables]
    assert list(first.weights) == list(first.gradients) == paths
    trained = [w for w, v in zip(run.initial, run.model.weights, strict=True) if v.trainable]
    for value, expected in zip(first.weights.values(), trained, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert list(first.activations) == ["hidden", "norm", "drop", "logits"]
    hidden = first.activations["hidden"]
    kernel, bias = run.initial[:2]
    # All 40 training examples, in another order.
    expected = np.maximum(data().train.x @ kernel + bias, 0)
    np.testing.assert_allclose(np.sort(hidden.ravel()), np.sort(expected.ravel()), atol=1e-5)
    dead = {one.layer: one.dead for one in first.layers.activations}
    assert dead == {
        "hidden": np.mean((expected == 0).all(axis=0)),
        "norm": None,
        "drop": None,
        "logits": None,
    }
    kept = (first.activations["drop"] != 0).mean()
    assert 0.4 < kept < 0.8
    assert run.built.applied["monitoring.layers_every"] == (
        "gradients of 6 variables, activations of 4 layers"
    )
    assert run.recorder.clock.spent["monitor"] > 0
    assert not run.recorder.signals


def test_gradients_are_those_of_the_formula():
    run = Run(task(), plan(), data())
    split = data().train
    loss, gradients = open_looker(run.model, keras.backend.backend()).gradient(
        split.parts(), training=False, scale=64.0
    )
    w1, b1, w2, b2 = run.initial
    hidden = np.tanh(split.x @ w1 + b1)
    powers = np.exp(hidden @ w2 + b2)
    shares = powers / powers.sum(axis=1, keepdims=True)
    truth = np.eye(NUM_CLASSES)[split.y]
    error = (shares - truth) / len(truth)
    back = error @ w2.T * (1 - hidden**2)
    expected = [split.x.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
    assert loss == pytest.approx(-np.log((shares * truth).sum(1)).mean(), rel=1e-5)
    for mine, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def stacked(activation, kernel, bias="zeros", depth=2):
    """Return a function that builds hidden layers of one kind and logits."""

    def build():
        return keras.Sequential(
            [
                keras.Input((NUM_FEATURES,)),
                *(
                    keras.layers.Dense(
                        8, activation, kernel_initializer=kernel, bias_initializer=bias
                    )
                    for _ in range(depth)
                ),
                keras.layers.Dense(NUM_CLASSES),
            ]
        )

    return build


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("dead_units", stacked("relu", "glorot_uniform", keras.initializers.Constant(-50.0))),
        ("vanishing_gradients", stacked("sigmoid", "glorot_uniform", depth=14)),
        (
            "exploding_gradients",
            stacked(None, keras.initializers.RandomNormal(stddev=40.0), depth=3),
        ),
    ],
    ids=["dead", "vanishing", "exploding"],
)
def test_runs_built_to_be_ill_say_so(kind, model):
    told = []
    changes = {"monitoring.layers_every": 1, "schedule.peak": 1e-6, "duration.epochs": 2}
    record = train(task(model), plan(changes), data=data(), observers=[told.append])
    assert [event.kind for event in record.events] == [kind]
    assert [event.signal for event in told if isinstance(event, Signalled)] == record.events
    assert record.events[0].advice


def test_divergence_is_told_before_the_run_fails():
    values = {"optimizer.name": "sgd", "schedule.peak": 1e12, "duration.epochs": 3}
    record = train(task(loss="mse", metrics=[]), plan(values), data=regression())
    assert record.outcome == "failed"
    assert [event.kind for event in record.events] == ["non_finite"] * 2 + ["divergence"]
    assert "schedule.peak" in record.events[-1].advice


def test_overfitting_is_told_of_a_net_that_learns_noise_by_heart():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(48, NUM_FEATURES)).astype("float32")
    y = generator.integers(0, NUM_CLASSES, 48)
    noise = Data(Split(x[:24], y[:24]), Split(x[24:], y[24:]))
    changes = {"optimizer.name": "adam", "schedule.peak": 0.05, "duration.epochs": 20}
    record = train(task(), plan(changes), data=noise)
    assert "overfitting" in {event.kind for event in record.events}


def regression():
    """Return a problem without classes."""
    x = numbers(40, NUM_FEATURES)
    return Data(Split(x, 10 * numbers(40, NUM_CLASSES, seed=1)), Split(x[:9], x[:9, :NUM_CLASSES]))


def image_net():
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(NUM_CLASSES)]
    )


def images():
    """Return a few images that a linear net cannot all tell apart."""
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(60, 6, 6, 1)).astype("float32")
    y = generator.integers(0, NUM_CLASSES, 60)
    return Data(Split(x[:40], y[:40]), Split(x[40:], y[40:]))


def test_wrong_predictions_are_pictured_the_surest_first():
    seen = []
    changes = {"monitoring.wrong_images": 4, "duration.epochs": 1}
    run = Run(task(image_net), plan(changes), images(), observers=[seen.append]).go()
    (pictured,) = (event for event in seen if isinstance(event, Pictured))
    held_out = images().validation
    logits = held_out.x.reshape(20, -1) @ run.model.get_weights()[0] + run.model.get_weights()[1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    taken = shares.argmax(axis=1)
    wrong = np.flatnonzero(taken != held_out.y)
    worst = sorted(wrong, key=lambda i: -shares[i].max())[:4]
    assert (pictured.num_wrong, pictured.num_seen) == (len(wrong), 20)
    assert pictured.captions == tuple(
        f"{held_out.y[i]} as {taken[i]} ({100 * shares[i].max():.0f} %)" for i in worst
    )
    np.testing.assert_array_equal(pictured.images, np.round(255 * held_out.x[worst]))


def test_pictures_of_what_are_no_images_are_refused():
    with pytest.raises(PlanError, match="wrong_images"):
        train(task(), plan({"monitoring.wrong_images": 4}), data=data())


def test_a_profile_lies_where_tensorboard_looks_for_it(tmp_path, backend):
    changes = {"monitoring.profile": 2, "duration.epochs": 1}
    record = train(task(), plan(changes), data=data(), folder=tmp_path)
    assert record.applied["monitoring.profile"] == "updates 2 to 3, in plugins/profile"
    files = sorted(tmp_path.glob("plugins/profile/*/*"))
    assert all(file.stat().st_size > 500 for file in files)
    traces = [file for file in files if file.name.endswith(".trace.json.gz")]
    assert traces or backend == "tensorflow"
    assert traces or any(file.name.endswith(".xplane.pb") for file in files)
    for trace in traces:
        events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
        assert sum(event.get("dur", 0) > 0 for event in events) > 10


def test_a_run_without_a_folder_says_that_nothing_is_profiled():
    record = train(task(), plan({"monitoring.profile": 2, "duration.epochs": 1}), data=data())
    assert any("No profile was taken" in note for note in record.notes)
