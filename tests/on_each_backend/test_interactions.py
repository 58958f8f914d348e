"""A hundred plans of random techniques on this backend: each trains, or is refused beforehand."""

import random

import keras
import numpy as np
import pytest
from engine_help import numbers

from drawing import POOL, draw, names_keys
from slipstream.backends._eager import run_eagerly
from slipstream.data.splits import Data, Split
from slipstream.engine.limits import Limits
from slipstream.engine.look import look
from slipstream.engine.train import train
from slipstream.errors import InputError
from slipstream.plan import Plan, all_keys
from slipstream.plan.accounting import unapplied
from slipstream.plan.losses import changes_loss
from slipstream.task import AS_GIVEN, Task
from slipstream.techniques import all_techniques

BACKEND = keras.backend.backend()
NUM_PLANS = 100
# So many are compiled by TensorFlow as for a user; the others call every operation by itself, which
# saves minutes. On JAX that would cost some: all are compiled.
NUM_COMPILED = 8
layers = keras.layers


def images():
    """Images of eight by eight in three classes, for a net with everything that is usual."""
    x = numbers(18, 8, 8, 1)
    y = np.arange(18) % 3

    def net():
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.1),
                layers.Dense(3),
            ]
        )

    loss = {
        "class_name": "SparseCategoricalCrossentropy",
        "config": {"from_logits": True},
    }
    return task(net, x, y, loss=loss, metrics=["accuracy"], monitor="val_accuracy", target=2.0)


def vectors():
    """Vectors with two things to tell of them: a class and a number."""
    x = numbers(18, 6)
    y = {"kind": np.eye(2, dtype="float32")[np.arange(18) % 2], "size": x[:, :1] * 2}

    def net():
        inputs = keras.Input((6,))
        hidden = layers.Dense(8, activation="relu")(inputs)
        kind = layers.Dense(2, activation="softmax", name="kind")(hidden)
        size = layers.Dense(1, name="size")(hidden)
        return keras.Model(inputs, {"kind": kind, "size": size})

    losses = {"kind": "categorical_crossentropy", "size": "mse"}
    return task(net, x, y, loss=losses, monitor="val_kind_loss")


def sequences():
    """Sequences of words, to be told apart by one number."""
    x = np.random.default_rng(0).integers(1, 9, (18, 5))
    y = (x.sum(1, keepdims=True) % 2).astype("float32")

    def net():
        return keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                layers.Embedding(9, 4),
                layers.GRU(4),
                layers.Dense(1, activation="sigmoid"),
            ]
        )

    return task(net, x, y, loss="binary_crossentropy", metrics=["f1"], monitor="val_f1")


def numbers_alone():
    """A regression, for the losses of numbers."""
    x = numbers(18, 4)

    def net():
        return keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(1)])

    return task(net, x, x[:, :1] - x[:, 1:2], loss="mse", metrics=["mae"], monitor="val_loss")


def task(net, x, y, **settings):
    train_, rest = np.arange(12), np.arange(12, 18)

    def part(rows):
        return Split(x[rows], keras.tree.map_structure(lambda array: array[rows], y))

    return Task(model=net, data=lambda: Data(part(train_), part(rest)), **settings)


TASKS = (images, vectors, sequences, numbers_alone)


@pytest.fixture(scope="module")
def problems():
    """Each task with its data and its facts."""
    made = []
    for function in TASKS:
        problem = function()
        data = problem.data()
        made.append((problem, data, look(problem, function.__name__, data)[0]))
    return made


def base(source):
    """The task as given, or a plain plan of the own loop, on this backend; three updates."""
    plan = source.choice((AS_GIVEN, Plan(), Plan()))
    changes = {"runtime.backend": BACKEND, "batch.size": 4, "duration.epochs": 1}
    if BACKEND == "tensorflow":
        changes["runtime.jit"] = "off"
    return plan.adapt(changes)


def test_nothing_but_another_backend_is_left_out_of_the_draw():
    assert {technique.name for technique in all_techniques()} - {t.name for t in POOL} == {
        "backend"
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", range(10))
def test_random_techniques_train_or_are_refused_beforehand(problems, place):
    for number in range(place, NUM_PLANS, 10):
        # Another hundred on each backend, the same ones in every run.
        source = random.Random(f"{BACKEND} {number}")
        problem, data, facts = source.choice(problems)
        drawn = draw(source, base(source), facts)
        for error, named in drawn.refused:
            assert all(name in str(error) for name in named), (named, str(error))
        # Keras' loop cannot make several steps of an execution without tracing.
        runtime = drawn.plan.runtime
        traces = runtime.loop == "keras" and runtime.steps_per_execution > 1
        eager = BACKEND == "tensorflow" and number >= NUM_COMPILED and not traces
        with run_eagerly(eager):
            trained(problem, data, drawn)


def trained(problem, data, drawn):
    """Train as drawn, and hold the record against the plan."""
    plan, said = drawn.plan, f"{problem.monitor}: {drawn.names}"
    try:
        record = train(problem, plan, data=data, limits=Limits(updates=2))
    except InputError as error:
        # Refused for what the plan alone cannot show: the model, its data or its loss.
        assert names_keys(str(error)), (said, str(error))
        return
    if record.failure is not None:
        # A rate at the end of its range may blow up: that is told as what it is.
        assert record.failure.kind == "Diverged", (said, record.failure)
        return
    assert 1 <= record.updates <= 3, said
    assert unapplied(plan, record.applied) == (), said
    assert not [note for note in record.notes if note.startswith("Nothing is known")], said
    assert set(record.applied) <= set(all_keys()), said
    agrees(plan, record.applied, said)


# Numbers of these sections are stated as they are; of some it is said what came of them.
BY_VALUE = {"optimizer", "schedule", "clipping", "batch", "loss", "seeds"}
IN_OTHER_WORDS = {
    *("schedule.peak", "schedule.warmup", "optimizer.swa", "optimizer.norm_batches"),
}


def agrees(plan, applied, said):
    """Hold numbers that are stated against the plan's, and what is stated against what is on."""
    values, defaults = plan.flat(), Plan().flat()
    for key, text in applied.items():
        value = values[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        by_value = key.partition(".")[0] in BY_VALUE and key not in IN_OTHER_WORDS
        if is_number and by_value and value != defaults[key]:
            assert any(shown in text for shown in (str(value), f"{value:g}")), (said, key, text)
    # Only where a plan asks for something is it stated, what the engine does by itself apart.
    asked = {key.partition(".")[0] for key in plan.difference(Plan())}
    off = {key for key in applied if key.partition(".")[0] not in asked}
    off -= {"schedule.name", "runtime.lowering"} | ({"loss.name"} if changes_loss(plan) else set())
    assert not off, (said, off)
