"""What the drop-in fit leaves to Keras: the same results, and the reason in the history."""

import contextlib
import json
import logging
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from drop_in_help import (
    BACKEND,
    NUM_FEATURES,
    Noted,
    assert_same_events,
    net,
    problem,
    same,
)

import slipstream

ops = keras.ops


def arrays():
    """Return arguments of a short fit."""
    x, y = problem(20)
    return {"x": x, "y": y, "batch_size": 8, "epochs": 2, "validation_data": (x, y)}


def given_to_keras(make, fit, reason):
    """Fit twice and return what the drop-in said."""
    both = same(make, fit, loop="keras")
    (fallback,) = both.report.fallbacks
    assert reason in fallback
    return both


def test_eager_models(caplog):
    with caplog.at_level(logging.WARNING, "slipstream"):
        given_to_keras(lambda: net(run_eagerly=True), arrays, "run_eagerly is set")
    assert "Keras' own fit runs, because run_eagerly is set" in caplog.text


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere uncompiled steps are run as they are")
def test_steps_that_are_not_to_be_compiled_on_jax():
    given_to_keras(lambda: net(jit_compile=False), arrays, "jit_compile is off")


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch in Keras knows no sparse tensors")
def test_sparse_inputs():
    sparse = pytest.importorskip("scipy.sparse")
    x, y = problem(8)
    model = keras.Sequential([keras.Input((NUM_FEATURES,), sparse=True), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = sparse.csr_matrix(np.where(x > 0, x, 0))
    history = slipstream.fit(model, x, y, batch_size=8, verbose=0)
    assert "sparse" in history.slipstream.fallbacks[0]


def test_models_of_which_nothing_can_be_trained():
    def make():
        model = net()
        model.trainable = False
        model.compile("sgd", model.loss)
        return model

    x, y = problem(20)
    model = make()
    before = model.get_weights()
    expected = pytest.warns(UserWarning, match="trainable")
    with expected if BACKEND != "jax" else contextlib.nullcontext():
        history = slipstream.fit(model, x, y, verbose=0)
    assert "nothing in the model is trainable" in history.slipstream.fallbacks[0]
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


# Two replicas on two devices that are both the processor: backends fix them when they start.
TWO_DEVICES = """
import json
import keras
import numpy as np
import slipstream

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(processor, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    replicas = strategy.num_replicas_in_sync
    scope = strategy.scope
else:
    distribution = keras.distribution.DataParallel()
    replicas = distribution.num_model_replicas
    scope = distribution.scope

def fitted(fit):
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    with scope():
        layer = keras.layers.Dense(1, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((4,)), layer])
        model.compile("sgd", "mse")
        return fit(model, x=x, y=x[:, :1], batch_size=8, epochs=2, shuffle=False, verbose=0)

ours = fitted(slipstream.fit)
theirs = fitted(lambda model, **given: model.fit(**given))
print(json.dumps([replicas, ours.slipstream.fallbacks, ours.history, theirs.history]))
"""


@pytest.mark.skipif(BACKEND == "torch", reason="Keras distributes nothing on PyTorch")
def test_two_replicas():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags.strip()}
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    replicas, fallbacks, ours, theirs = json.loads(done.stdout.splitlines()[-1])
    assert replicas == 2
    assert fallbacks == ["Keras' own fit runs, because training is distributed"]
    assert ours == theirs


@pytest.mark.parametrize("limit", ["max_epochs", "max_steps_per_epoch"])
def test_limits_for_debugging(limit):
    set_limit = getattr(keras.config, f"set_{limit}")
    set_limit(1)
    try:
        with pytest.warns(UserWarning, match="Limiting"):
            both = given_to_keras(net, arrays, "keras.config limits epochs or steps")
    finally:
        set_limit(None)
    assert both.our_history.epoch == ([0] if limit == "max_epochs" else [0, 1])


class OwnLoss(keras.Model):
    """A subclassed model with its own loss."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(4, activation="tanh")
        self.drop = keras.layers.Dropout(0.2)
        self.out = keras.layers.Dense(3)

    def call(self, x, training=False):
        return self.out(self.drop(self.hidden(x), training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + 0.1 * ops.mean(ops.square(y_pred))


def compiled(model):
    """Return the model, compiled."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def test_a_loss_of_ones_own_is_accelerated():
    same(lambda: compiled(OwnLoss()), arrays)


class OwnMetrics(OwnLoss):
    """A model that logs what its metrics do not hold."""

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**logs, "largest": ops.max(y_pred)}


def test_logs_that_the_metrics_do_not_hold():
    given_to_keras(lambda: compiled(OwnMetrics()), arrays, "compute_metrics returns more")


if BACKEND == "jax":

    class OwnStep(OwnLoss):
        """A model with its own step that adds to the loss."""

        extra = False

        def train_step(self, state, data):
            x, y = data
            logs, state = super().train_step(state, (0.5 * x, y))
            return ({**logs, "extra": 1.0} if self.extra else logs), state
else:

    class OwnStep(OwnLoss):
        """A model with its own step that sees other data."""

        extra = False

        def train_step(self, data):
            x, y = data
            logs = super().train_step((0.5 * x, y))
            return {**logs, "extra": ops.ones(())} if self.extra else logs


class OwnStepOfMore(OwnStep):
    """The same, with a value that no metric holds."""

    extra = True


def test_a_step_of_ones_own():
    if BACKEND == "torch":
        given_to_keras(lambda: compiled(OwnStep()), arrays, "its own train_step")
    else:
        assert same(lambda: compiled(OwnStep()), arrays).report.updates_per_call == 2


@pytest.mark.skipif(BACKEND == "torch", reason="Keras' fit runs own steps on PyTorch")
def test_batches_log_what_a_step_of_ones_own_returns():
    class OwnLogs(OwnStep):
        def train_step(self, *given):
            done = super().train_step(*given)
            if BACKEND == "jax":
                return {**done[0], "accuracy": -1.0}, done[1]
            return {**done, "accuracy": -1.0}

    noted = []

    def fit():
        noted.append(Noted(batches=True))
        return {**arrays(), "callbacks": noted[-1:]}

    same(lambda: compiled(OwnLogs()), fit)
    assert_same_events(noted[1].events, noted[0].events)
    assert any(logs.get("accuracy") == -1.0 for _, _, logs in noted[1].events)


def test_a_step_that_logs_what_no_metric_holds():
    reason = "its own train_step" if BACKEND == "torch" else "train_step returns more"
    given_to_keras(lambda: compiled(OwnStepOfMore()), arrays, reason)


def test_metrics_with_several_values_are_evaluated_by_keras():
    def make():
        model = keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(3, "softmax")])
        model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
        return model

    def fit():
        x, y = problem(24)
        y = np.eye(3, dtype="float32")[y]
        return {"x": x, "y": y, "batch_size": 8, "epochs": 2, "validation_data": (x, y)}

    both = same(make, fit)
    assert np.shape(both.our_history.history["val_f1_score"]) == (2, 3)
    assert any("several values" in fallback for fallback in both.report.fallbacks)


def test_random_numbers_in_inference_are_drawn_as_by_keras():
    def make():
        x = keras.Input((NUM_FEATURES,))
        noisy = keras.layers.GaussianNoise(0.5, seed=3)(x, training=True)
        return compiled(keras.Model(x, keras.layers.Dense(3)(noisy)))

    same(make, arrays)


def test_what_keras_refuses_is_refused_in_its_words():
    x, y = problem(20)
    for function in (slipstream.fit, lambda model, *data, **others: model.fit(*data, **others)):
        with pytest.raises(ValueError, match=r"(?i)cardinality"):
            function(net(), x, y[:-1], verbose=0)
        with pytest.raises(ValueError, match=r"(?i)must call `compile"):
            function(keras.Sequential([keras.layers.Dense(1)]), x, y, verbose=0)


def test_an_update_that_cannot_be_made_is_left_to_keras():
    """Targets that do not fit: Keras' own words, and a model as it was."""
    x, _ = problem(20)
    errors = []
    for function in (slipstream.fit, lambda m, *data, **others: m.fit(*data, **others)):
        model = net(metrics=())
        before = model.get_weights()
        with pytest.raises(Exception, match=r".") as caught:
            function(model, x, np.ones((20, 2, 2)), verbose=0)
        errors.append(caught.value)
        for one, two in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[0])[:40] == str(errors[1])[:40]


def test_a_fit_of_ones_own_is_called():
    class OwnFit(OwnLoss):
        def fit(self, *args, **kwargs):
            kwargs["epochs"] = 1
            return super().fit(*args, **kwargs)

    x, y = problem(20)
    history = slipstream.fit(compiled(OwnFit()), x, y, epochs=3, verbose=0)
    assert history.epoch == [0]
    assert history.slipstream.fallbacks == ("the model's own fit runs",)


def test_generators_lose_no_batch_to_an_attempt():
    def batches():
        x, y = problem(40)
        while True:
            for start in range(0, 40, 8):
                yield x[start : start + 8], y[start : start + 8]

    given_to_keras(
        lambda: compiled(OwnMetrics()),
        lambda: {"x": batches(), "steps_per_epoch": 3},
        "returns more",
    )
