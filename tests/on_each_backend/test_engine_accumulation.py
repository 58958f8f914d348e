"""Micro-batches are one batch: whatever weighs, masks, bounds or averages; in parts that differ."""

import keras
import numpy as np
import pytest
from engine_help import NUM_CLASSES, assert_same_weights, data, moved, plan, run, task

from slipstream.backends import shares_of
from slipstream.data.splits import Data, Split

LENGTH = 6
# 45 examples in updates of 8 are five full ones and one of 5: in batches of 4, 4 + 1.
SMALL = {"batch.size": 4, "batch.accumulation": 2, "duration.epochs": 1}
LARGE = {"batch.size": 8, "duration.epochs": 1}


def same(task_, data_, changes):
    """Train both ways; the weights and all that is measured are to be the same."""
    small = run(task_, plan({**SMALL, **changes}), data_)
    large = run(task_, plan({**LARGE, **changes}), data_)
    assert small.loop.update == large.loop.update == 6
    assert moved(small.initial, small.model.get_weights()) > 0.01
    assert_same_weights(small.model.get_weights(), large.model.get_weights(), 1e-6, 1e-6)
    for mine, other in zip(small.values, large.values, strict=True):
        assert mine == pytest.approx(other, rel=1e-5)
    return small


def test_weights_penalty_bound_decay_average_and_schedule():
    changes = {
        "optimizer.name": "adamw",
        "optimizer.epsilon": 1e-3,
        "optimizer.weight_decay": 0.1,
        "optimizer.ema": 0.5,
        "regularization.l2": 0.01,
        "clipping.global_norm": 0.3,
        "schedule.name": "cosine",
        "schedule.warmup": 0.2,
        "schedule.peak": 0.03,
        "runtime.steps_per_execution": 2,
        "data.cache": "device",
    }
    small = same(task(), data(45, weights=True), changes)
    assert small.built.applied["batch.accumulation"] == "2 batches of 4 make an update"
    assert 0 < small.values[0]["clipped_share"] <= 1


def sequences(num, seed=0):
    """Words, 0 for what is padding, and a label a word."""
    random = np.random.default_rng(seed)
    x = random.integers(1, 9, (num, LENGTH))
    x[np.arange(LENGTH) >= random.integers(1, LENGTH + 1, (num, 1))] = 0
    return x, (x % NUM_CLASSES).astype("int64")


def four_outputs():
    """Labels of words, of which masks let some through; of texts, of which some are left out."""
    words = keras.Input((LENGTH,), dtype="int32")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    text = keras.layers.GlobalAveragePooling1D()(embedded)
    return keras.Model(
        words,
        {
            "word": keras.layers.Dense(NUM_CLASSES, name="word")(embedded),
            "text": keras.layers.Dense(NUM_CLASSES, name="text")(text),
            "size": keras.layers.Dense(1, name="size")(text),
            "sum": keras.layers.Dense(1, name="sum")(text),
        },
    )


def of_four(num=45):
    x, word = sequences(num)
    size = x.sum(1, keepdims=True).astype("float32") / 20
    y = {"word": word, "text": x[:, 0] % NUM_CLASSES, "size": size, "sum": size}
    return Data(Split(x, y), Split(x[:13], {name: part[:13] for name, part in y.items()}))


def test_masks_labels_left_out_sums_and_penalties_each_count_what_they_are_a_mean_over():
    cross_entropy = keras.losses.SparseCategoricalCrossentropy
    losses = {
        "word": cross_entropy(from_logits=True),
        "text": cross_entropy(from_logits=True, ignore_class=1),
        "size": keras.losses.MeanSquaredError(),
        "sum": keras.losses.MeanSquaredError(reduction="sum"),
    }
    weights = {"word": 1.0, "text": 0.7, "size": 0.3, "sum": 0.1}
    four = task(
        four_outputs,
        loss={name: keras.losses.serialize(loss) for name, loss in losses.items()},
        metrics=(),
        loss_weights=weights,
    )
    small = same(four, of_four(), {"regularization.l2": 0.01})
    assert "word_loss" in small.values[0]


class MeanOverWeights(keras.losses.Loss):
    """Squares, divided by the sum of the weights."""

    def __init__(self):
        super().__init__(reduction="mean_with_sample_weight")

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_pred - keras.ops.cast(y_true, "float32")), -1)


def test_means_over_weights():
    both = data(45, weights=True)
    weighed = [Split(s.x, s.x[:, :3], s.sample_weight) for s in (both.train, both.validation)]
    squares = task(loss=MeanOverWeights(), metrics=())
    same(squares, Data(*weighed), {"regularization.l2": 0.01})


def test_a_plain_mean_needs_no_counts():
    model = run(task(), plan({"duration.epochs": 1}), data(8)).model
    assert shares_of(model, data(8).train.parts()) is None
