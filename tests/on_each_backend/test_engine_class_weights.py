"""Weights of classes: Keras' own in a fit, scikit-learn's numbers, and what they go with."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from engine_help import (
    JIT,
    NUM_CLASSES,
    NUM_FEATURES,
    Run,
    assert_same_weights,
    data,
    dense_net,
    in_order,
    numbers,
    plan,
    run,
    task,
)
from sklearn.utils.class_weight import compute_class_weight

from slipstream.data.splits import Data, Split
from slipstream.engine.train import train
from slipstream.errors import PlanError
from slipstream.plan.accounting import unapplied

BY_HAND = "0=0.5, 1=3, 2=1.5"
TABLE = np.array([0.5, 3, 1.5], "float32")


def one_hot(split):
    return replace(split, y=np.eye(NUM_CLASSES, dtype="float32")[split.y])


@pytest.mark.parametrize("rows", [False, True])
def test_balanced_training_is_keras_fit_with_scikit_learns_weights(rows):
    data_, loss = data(), None
    kind = keras.losses.SparseCategoricalCrossentropy
    if rows:
        kind = keras.losses.CategoricalCrossentropy
    labels = data_.train.y
    weights = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    if rows:
        data_ = Data(one_hot(data_.train), one_hot(data_.validation))
    loss = keras.losses.serialize(kind(from_logits=True))
    # Two micro-batches an update, and a smaller one at the end.
    changes = {"loss.class_weights": "balanced", "batch.size": 6, "batch.accumulation": 2}
    ours = run(task(loss=loss), plan(changes), data_)
    model = dense_net()
    model.set_weights(ours.initial)
    jit = {"jit_compile": JIT != "off" and "auto"}
    model.compile(keras.optimizers.SGD(0.1), loss=kind(from_logits=True), **jit)
    for epoch in range(3):
        part = in_order(data_.train, 0, epoch)
        settings = {"batch_size": 12, "shuffle": False, "verbose": 0}
        by_class = dict(enumerate(weights))
        history = model.fit(part.x, part.y, class_weight=by_class, **settings).history
        assert ours.values[epoch]["loss"] == pytest.approx(history["loss"][0], rel=1e-4)
    assert_same_weights(ours.model.get_weights(), model.get_weights())
    judged = model.evaluate(data_.validation.x, data_.validation.y, verbose=0)
    assert ours.values[-1]["val_loss"] == pytest.approx(judged, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.name": "focal", "runtime.steps_per_execution": 2},
        {"augmentation.mixup": 0.4, "regularization.label_smoothing": 0.1},
        {"data.cache": "device", "regularization.l2": 1e-3, "regularization.adaptive_gap": 0.2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_they_multiply_the_weights_of_the_data_in_training_alone(changes):
    data_ = data(weights=True)
    weighted = replace(data_.train, sample_weight=data_.train.sample_weight * TABLE[data_.train.y])
    ours = run(task(), plan({"loss.class_weights": BY_HAND, **changes}), data_)
    other = Run(task(), plan(changes), Data(weighted, data_.validation))
    if "regularization.adaptive_gap" in changes:
        # What training is judged by, beside validation, has no weights of classes.
        other.loop._judge._steering._examples = ours.loop._judge._steering._examples
    other.go()
    assert_same_weights(ours.model.get_weights(), other.model.get_weights())
    for mine, theirs in zip(ours.values, other.values, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_keras_loop_has_them_and_the_record_says_what_they_are():
    changes = {"runtime.loop": "keras", "loss.class_weights": BY_HAND, "duration.epochs": 1}
    plan_ = plan({**changes, "batch.size": 64})
    data_, record = data(), train(task(metrics=()), plan_, data=data())
    keras.utils.set_random_seed(plan_.seeds.seed)
    losses = keras.ops.convert_to_numpy(
        keras.losses.sparse_categorical_crossentropy(
            data_.train.y, dense_net()(data_.train.x), from_logits=True
        )
    )
    expected = np.mean(losses * TABLE[data_.train.y])
    assert record.points[0].values["loss"] == pytest.approx(expected, rel=1e-4)
    assert "0=0.5, 1=3, 2=1.5" in record.applied["loss.class_weights"]
    assert unapplied(plan_, record.applied) == ()


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred))


def own_loss():
    inputs = keras.Input((NUM_FEATURES,))
    return OwnLoss(inputs, keras.layers.Dense(NUM_CLASSES)(inputs))


@pytest.mark.parametrize(
    ("weights", "y", "net", "says"),
    [
        ("0=1, 1=2", np.arange(8) % 3, dense_net, "no weight for class 2"),
        ("0=1, 1=2, 2=3, 5=1", np.arange(8) % 3, dense_net, "no training example has: 5"),
        ("balanced", numbers(8, 1), dense_net, "whole number"),
        ("balanced", {"a": np.zeros(8), "b": np.zeros(8)}, dense_net, "2 arrays of targets"),
        ("balanced", np.arange(8) % 3, own_loss, "compute_loss of its own"),
    ],
)
def test_what_has_no_classes_to_weigh_is_refused(weights, y, net, says):
    rows = Split(numbers(8, NUM_FEATURES), y)
    with pytest.raises(PlanError, match=says):
        train(task(net), plan({"loss.class_weights": weights}), data=Data(rows, rows))
