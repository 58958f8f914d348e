"""What is judged: the task's own loss and metrics, exactly, over the whole split."""

import keras
import numpy as np
import pytest
from engine_help import (
    NUM_FEATURES,
    Run,
    assert_same_weights,
    data,
    dense_net,
    moved,
    numbers,
    plan,
    run,
    sparse_loss,
    split,
    task,
)
from sklearn.metrics import log_loss, precision_score, recall_score, roc_auc_score

from slipstream.backends import open_program
from slipstream.data.splits import Data, Split
from slipstream.engine.build import build
from slipstream.engine.feed import evaluation_batches
from slipstream.engine.losses import resolve_loss, resolve_metric
from slipstream.errors import PlanError, TaskError


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


@pytest.mark.parametrize("at_most", [1000, 10, 23])
def test_metrics_are_those_of_the_whole_split(at_most):
    data_ = data(40, 101)
    built = build(task(), plan(), data_, 0.1)
    program = open_program(built.model, keras.backend.backend(), jit=False)
    batches = evaluation_batches(data_.validation, at_most)
    values = program.evaluate(batches)
    p = softmax(built.model.predict(data_.validation.x, verbose=0))
    assert values["loss"] == pytest.approx(log_loss(data_.validation.y, p), rel=1e-5)
    assert values["accuracy"] == pytest.approx(np.mean(p.argmax(1) == data_.validation.y))
    # Again: nothing of the last time is left in the metrics.
    assert program.evaluate(batches) == values


def test_weights_of_validation_examples_count():
    part = split(41, 5, weights=True)
    data_ = Data(split(40, 1, weights=True), part)
    ran = run(task(metrics=()), plan({"duration.epochs": 1}), data_)
    p = softmax(ran.model.predict(part.x, verbose=0))
    losses = -np.log(p[np.arange(41), part.y])
    expected = np.mean(part.sample_weight * losses)
    assert ran.values[-1]["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_metrics_that_keep_state_over_batches():
    def net():
        return keras.Sequential(
            [keras.Input((NUM_FEATURES,)), keras.layers.Dense(1, activation="sigmoid")]
        )

    def binary(num, seed):
        x = numbers(num, NUM_FEATURES, seed=seed)
        return Split(x, (x[:, :1] + 0.5 * numbers(num, 1, seed=seed + 7) > 0).astype("int64"))

    data_ = Data(binary(40, 1), binary(1501, 2))
    auc = keras.metrics.serialize(keras.metrics.AUC(num_thresholds=4000, name="auc"))
    ran = run(task(net, loss="binary_crossentropy", metrics=[auc]), plan(), data_)
    scores = ran.model.predict(data_.validation.x, verbose=0)
    expected = roc_auc_score(data_.validation.y, scores)
    assert ran.values[-1]["val_auc"] == pytest.approx(expected, abs=1e-3)


def test_a_metric_with_a_value_for_each_class_becomes_several():
    def one_hot(part):
        return Split(part.x, np.eye(3, dtype="float32")[part.y])

    plain = data(40)
    data_ = Data(one_hot(plain.train), one_hot(plain.validation))
    loss = keras.losses.serialize(keras.losses.CategoricalCrossentropy(from_logits=True))
    f1 = keras.metrics.serialize(keras.metrics.F1Score(name="f1"))
    ran = run(task(loss=loss, metrics=[f1]), plan({"duration.epochs": 1}), data_)
    assert {"val_f1_0", "val_f1_1", "val_f1_2"} <= set(ran.values[-1])
    guess = ran.model.predict(plain.validation.x, verbose=0).argmax(1)
    right = np.sum((guess == 0) & (plain.validation.y == 0))
    expected = 2 * right / (np.sum(guess == 0) + np.sum(plain.validation.y == 0))
    assert ran.values[-1]["val_f1_0"] == pytest.approx(expected, rel=1e-5)


def test_a_metric_named_by_its_name_takes_what_the_loss_takes():
    data_ = data(40)
    ran = run(task(loss=sparse_loss(), metrics=["ece"]), plan({"duration.epochs": 1}), data_)
    scores = softmax(ran.model.predict(data_.validation.x, verbose=0))
    confidence, right = scores.max(1), scores.argmax(1) == data_.validation.y
    bins = np.ceil(confidence * 15).astype(int)
    gaps = [abs(np.sum((right - confidence)[bins == one])) for one in range(1, 16)]
    assert ran.values[-1]["val_ece"] == pytest.approx(np.sum(gaps) / len(right), abs=1e-5)


def test_recall_of_logits_is_that_of_their_probabilities():
    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(1)])

    x = numbers(400, NUM_FEATURES)
    part = Split(x, (numbers(400, 1, seed=7) + x[:, :1] > 0).astype("int64"))
    loss = keras.losses.serialize(keras.losses.BinaryCrossentropy(from_logits=True))
    task_ = task(net, loss=loss, metrics=["recall", "Precision"])
    ran = run(task_, plan({"duration.epochs": 1}), Data(part, part))
    said = 1 / (1 + np.exp(-ran.model.predict(x, verbose=0))) > 0.5
    assert np.mean(said != (ran.model.predict(x, verbose=0) > 0.5)) > 0.02
    values = ran.values[-1]
    assert values["val_recall"] == pytest.approx(recall_score(part.y, said), rel=1e-5)
    assert values["val_precision"] == pytest.approx(precision_score(part.y, said), rel=1e-5)


def test_metrics_have_the_same_name_however_often_they_are_made():
    recall = {"class_name": "Recall", "config": {"thresholds": 0.0}}
    assert [resolve_metric(recall).name for _ in range(3)] == ["recall"] * 3
    assert [resolve_metric("auc", from_logits=True).name for _ in range(2)] == ["auc"] * 2


@pytest.mark.parametrize(
    ("resolve", "given", "mend"),
    [
        (resolve_metric, "acuracy", "Did you mean 'accuracy'"),
        (resolve_metric, {"class_name": "Acuracy", "config": {}}, "Did you mean 'Accuracy'"),
        (resolve_metric, {"class_name": "F1", "config": {}}, "Did you mean"),
        (resolve_loss, "sparse_crossentropy", "Did you mean 'sparse_"),
        (resolve_loss, {"class_name": "Huber", "config": {"beta": 1}}, "Mend its config"),
    ],
)
def test_losses_and_metrics_that_nobody_knows(resolve, given, mend):
    with pytest.raises(TaskError, match=mend):
        resolve(given)


def test_smoothing_is_trained_on_and_not_judged():
    plan_ = plan({"regularization.label_smoothing": 0.2, "duration.epochs": 1})
    plain = plan({"duration.epochs": 1})
    data_ = data(8)
    smooth, hard = Run(task(), plan_, data_), Run(task(), plain, data_)
    p = softmax(smooth.model.predict(data_.train.x, verbose=0)).astype("float64")
    labels = 0.8 * np.eye(3)[data_.train.y] + 0.2 / 3
    expected = -np.mean(np.sum(labels * np.log(p), axis=1))
    assert smooth.go().values[0]["loss"] == pytest.approx(expected, rel=1e-5)
    hard.go()
    assert moved(smooth.model.get_weights(), hard.model.get_weights()) > 1e-4
    judged = softmax(smooth.model.predict(data_.validation.x, verbose=0))
    assert smooth.values[0]["val_loss"] == pytest.approx(
        log_loss(data_.validation.y, judged), rel=1e-5
    )


def test_smoothing_of_one_output_of_two():
    def net():
        x = keras.Input((NUM_FEATURES,))
        return keras.Model(
            x, [keras.layers.Dense(3, name="kind")(x), keras.layers.Dense(1, name="size")(x)]
        )

    def both(part):
        return Split(part.x, {"kind": part.y, "size": part.x[:, :1]})

    data_ = data(8)
    data_ = Data(both(data_.train), both(data_.validation))
    task_ = task(net, loss={"kind": sparse_loss(), "size": "mse"}, metrics=())
    plan_ = plan({"regularization.label_smoothing": 0.2, "duration.epochs": 2})
    smooth = Run(task_, plan_, data_)
    kind, size = smooth.model.predict(data_.train.x, verbose=0)
    labels = 0.8 * np.eye(3)[data_.train.y["kind"]] + 0.2 / 3
    expected = -np.mean(np.sum(labels * np.log(softmax(kind)), axis=1))
    smooth.go()
    assert smooth.values[0]["kind_loss"] == pytest.approx(expected, rel=1e-5)
    assert smooth.values[0]["size_loss"] == pytest.approx(
        np.mean((size - data_.train.y["size"]) ** 2), rel=1e-5
    )
    kind, _ = smooth.model.predict(data_.validation.x, verbose=0)
    assert smooth.values[-1]["val_kind_loss"] == pytest.approx(
        log_loss(data_.validation.y["kind"], softmax(kind)), rel=1e-5
    )


@pytest.mark.parametrize("loss", ["mse", ["mse"]])
def test_smoothing_without_a_cross_entropy_is_refused(loss):
    plan_ = plan({"regularization.label_smoothing": 0.1})
    part = split(8)
    part = Split(part.x, np.eye(3, dtype="float32")[part.y])
    one_hot = Data(part, part)
    with pytest.raises(PlanError, match="label_smoothing"):
        build(task(loss=loss, metrics=()), plan_, one_hot, 0.1)


def test_smoothing_of_a_loss_that_leaves_labels_out_is_refused():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    with pytest.raises(PlanError, match="leaves out the label 0"):
        build(task(loss=loss), plan({"regularization.label_smoothing": 0.1}), data(8), 0.1)


def test_the_penalty_has_the_gradient_of_its_formula():
    """Without a gradient of the loss, an update of SGD with rate 1 is that of the penalty."""

    def net():
        return keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(3, bias_initializer="ones", name="only")]
        )

    def nothing(y, prediction):
        return keras.ops.sum(0 * prediction, axis=-1) + 0 * y

    rows = Split(np.ones((8, 2), "float32"), np.zeros(8, "float32"))
    changes = {"regularization.l2": 0.02, "duration.epochs": 1, "schedule.peak": 1.0}
    ran = run(task(net, loss=nothing, metrics=()), plan(changes), Data(rows, rows))
    kernel, step = ran.initial[0].astype("float64"), 1e-4
    gradient = np.zeros_like(kernel)
    for place in np.ndindex(kernel.shape):
        low, high = kernel.copy(), kernel.copy()
        low[place] -= step
        high[place] += step
        gradient[place] = 0.02 * (np.sum(high**2) - np.sum(low**2)) / (2 * step)
    after = ran.model.get_weights()
    np.testing.assert_allclose(ran.initial[0] - after[0], gradient, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(after[1], ran.initial[1])
    assert ran.values[0]["val_loss"] == 0


def test_dropout_of_the_plan_is_trained_with_and_not_judged():
    plain = Run(task(), plan(), data(8))
    dropped = Run(task(), plan({"regularization.dropout": 0.5}), data(8))
    assert_same_weights(plain.initial, dropped.initial, rtol=0, atol=0)
    np.testing.assert_allclose(
        plain.model.predict(data().validation.x, verbose=0),
        dropped.model.predict(data().validation.x, verbose=0),
        rtol=1e-6,
    )
    plain.go()
    dropped.go()
    assert moved(plain.model.get_weights(), dropped.model.get_weights()) > 1e-3
    dense = dense_net()
    dense.set_weights(dropped.model.get_weights())
    p = softmax(dense.predict(data().validation.x, verbose=0))
    assert dropped.values[-1]["val_loss"] == pytest.approx(
        log_loss(data().validation.y, p), rel=1e-5
    )
