"""The same fit twice, by Keras and by the drop-in, and what has to come out alike."""

import contextlib

import keras
import numpy as np
import pytest

import slipstream
from slipstream.engine.drop_in import programs
from slipstream.engine.open_program import open_model

BACKEND = keras.backend.backend()
NUM_FEATURES = 5
# What the documentation of the drop-in fit states.
REL, ABS = 1e-4, 2e-5


def numbers(*shape, seed=0):
    """Return normally distributed float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def problem(num, seed=0):
    """Return inputs and class numbers that a small net can learn."""
    x = numbers(num, NUM_FEATURES, seed=seed)
    return x, np.argmax(x[:, :3] + 0.3 * numbers(num, 3, seed=seed + 1), axis=1)


def net(*, optimizer="sgd", metrics=("accuracy",), dropout=0.0, **settings):
    """Return a compiled net with a hidden layer and logits."""
    layers = [keras.Input((NUM_FEATURES,)), keras.layers.Dense(6, activation="tanh")]
    if dropout:
        layers.append(keras.layers.Dropout(dropout))
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer if not callable(optimizer) else optimizer(),
        loss,
        metrics=list(metrics),
        **settings,
    )
    return model


class Twice:
    """One fit by Keras and one by the drop-in, from the same seeds.

    Args:
        make: Returns the compiled model.
        fit: Returns the arguments of the fit, with callbacks and generators of its own each time.
    """

    def __init__(self, make, fit):
        def run(function):
            keras.utils.set_random_seed(7)
            model = make()
            arguments = {"verbose": 0, "shuffle": False, **fit()}
            return model, function(model, **arguments)

        self.theirs, self.their_history = run(lambda model, **others: model.fit(**others))
        # Lowered layers draw other numbers than Keras' on PyTorch: the loop is compared without.
        with _lowering(not any(hasattr(x, "seed_generator") for x in _layers(self.theirs))):
            self.ours, self.our_history = run(slipstream.fit)

    @property
    def report(self):
        """What the drop-in says of itself."""
        return self.our_history.slipstream

    def assert_same(self, rel=REL, atol=ABS, loop="slipstream", parts=("weights", "optimizer")):
        """Compare logs, weights, seeds and the state of the optimizer."""
        assert self.report.loop == loop, self.report
        assert type(self.our_history) is type(self.their_history)
        assert self.our_history.epoch == self.their_history.epoch
        mine, other = self.our_history.history, self.their_history.history
        assert mine.keys() == other.keys()
        for name in other:
            np.testing.assert_allclose(mine[name], other[name], rel, atol, err_msg=name)
        for part in parts:
            for one, two in zip(_values(self.ours, part), _values(self.theirs, part), strict=True):
                np.testing.assert_allclose(one, two, rel, atol, err_msg=part)
        return self


def _layers(model):
    return model._flatten_layers(include_self=False)


@contextlib.contextmanager
def _lowering(on):
    with pytest.MonkeyPatch.context() as patch:
        if not on:
            patch.setattr(
                programs,
                "open_model",
                lambda model, **others: open_model(model, **{**others, "lowering": False}),
            )
        yield


def same(make, fit, **tolerance):
    """Fit twice, compare, and return both."""
    return Twice(make, fit).assert_same(**tolerance)


def _values(model, part):
    variables = model.variables if part == "weights" else model.optimizer.variables
    return [np.array(variable, "float64") for variable in variables]


class Noted(keras.callbacks.Callback):
    """Notes every event with its logs."""

    def __init__(self, *, batches=False):
        super().__init__()
        self.events = []
        if batches:
            self.on_train_batch_begin = lambda batch, logs=None: self.note("begin", batch, {})
            self.on_train_batch_end = lambda batch, logs=None: self.note("end", batch, logs)

    def note(self, event, number, logs):
        """Keep an event."""
        self.events.append((event, number, dict(logs or {})))

    def on_train_begin(self, logs=None):
        """Note it."""
        self.note("train begins", 0, logs)

    def on_train_end(self, logs=None):
        """Note it."""
        self.note("train ends", 0, logs)

    def on_epoch_begin(self, epoch, logs=None):
        """Note it."""
        self.note("epoch begins", epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Note it."""
        self.note("epoch ends", epoch, logs)

    def on_test_begin(self, logs=None):
        """Note it."""
        self.note("test begins", 0, logs)

    def on_test_end(self, logs=None):
        """Note it."""
        self.note("test ends", 0, logs)


def assert_same_events(ours, theirs):
    """Compare what two callbacks noted."""
    assert [event[:2] for event in ours] == [event[:2] for event in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[2] == pytest.approx(other[2], rel=REL, abs=ABS), mine[:2]
