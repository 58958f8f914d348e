"""The engine's own loop against Keras' fit: same data in the same order, same weights."""

import keras
import numpy as np
import pytest
from engine_help import (
    JIT,
    NUM_FEATURES,
    assert_same_weights,
    data,
    dense_net,
    in_order,
    moved,
    numbers,
    plan,
    run,
    sparse_loss,
    split,
    task,
)

from slipstream.data.splits import Data, Split


def fit(model, plan_, data_, optimizer, loss=None, **settings):
    """Train with Keras alone, the examples in the engine's order; returns what it logged."""
    model.compile(
        optimizer,
        loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **{"metrics": ["accuracy"], "jit_compile": JIT != "off" and "auto", **settings},
    )
    keep = None
    if plan_.batch.remainder == "drop":
        keep = data_.train.num_examples // plan_.batch.size * plan_.batch.size
    logs = []
    for epoch in range(plan_.duration.epochs):
        part = in_order(data_.train, plan_.seeds.seed, epoch, keep)
        history = model.fit(
            part.x,
            part.y,
            sample_weight=part.sample_weight,
            batch_size=plan_.batch.size,
            shuffle=False,
            verbose=0,
        )
        logs.append({name: values[0] for name, values in history.history.items()})
    return logs


def compare(task_, plan_, data_, model, optimizer, **settings):
    ours = run(task_, plan_, data_)
    model.set_weights(ours.initial)
    theirs = fit(model, plan_, data_, optimizer, **settings)
    assert moved(ours.initial, ours.model.get_weights()) > 0.01
    assert_same_weights(ours.model.get_weights(), model.get_weights())
    assert len(ours.values) == len(theirs) == plan_.duration.epochs
    for mine, other in zip(ours.values, theirs, strict=True):
        assert {name: mine[name] for name in comparable(other)} == pytest.approx(
            comparable(other), rel=1e-4, abs=1e-6
        )
    judged = comparable(judge(model, data_.validation))
    assert {name: ours.values[-1][f"val_{name}"] for name in judged} == pytest.approx(
        judged, rel=1e-4, abs=1e-6
    )


def comparable(logs):
    """Leave out what Keras averages over batches, on TensorFlow, be they equal or not."""
    if keras.backend.backend() != "tensorflow":
        return logs
    return {n: v for n, v in logs.items() if n == "loss" or not n.endswith("_loss")}


def judge(model, part):
    """Let Keras evaluate, in batches that do not come out even."""
    return model.evaluate(
        part.x,
        part.y,
        sample_weight=part.sample_weight,
        batch_size=7,
        verbose=0,
        return_dict=True,
    )


OPTIMIZERS = {
    "momentum": (
        {"optimizer.momentum": 0.9},
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    ),
    "clipped": (
        {"clipping.global_norm": 0.1, "optimizer.momentum": 0.9},
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1),
    ),
    "adam": (
        {"optimizer.name": "adam", "schedule.peak": 0.01},
        lambda: keras.optimizers.Adam(0.01),
    ),
}


@pytest.mark.parametrize(
    ("name", "remainder"),
    [("momentum", "keep"), ("momentum", "drop"), ("clipped", "keep"), ("adam", "keep")],
)
def test_the_same_weights_as_fit(name, remainder):
    changes, optimizer = OPTIMIZERS[name]
    plan_ = plan({**changes, "batch.remainder": remainder, "seeds.seed": 5})
    compare(task(), plan_, data(45), dense_net(), optimizer())


def test_decay_leaves_biases_and_norms_alone():
    def net():
        return keras.Sequential(
            [
                keras.Input((NUM_FEATURES,)),
                # A bias would have no gradient but rounding, from which Adam makes whole steps.
                keras.layers.Dense(8, use_bias=False),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(3, bias_initializer="ones"),
            ]
        )

    plan_ = plan({"optimizer.name": "adamw", "optimizer.weight_decay": 0.5, "schedule.peak": 0.01})
    model = net()
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    compare(task(net), plan_, data(), model, optimizer)


def test_decay_of_all_weights_where_the_plan_wants_it():
    plan_ = plan({"optimizer.weight_decay": 0.5, "optimizer.decay_norm_and_bias": True})
    compare(task(), plan_, data(), dense_net(), keras.optimizers.SGD(0.1, weight_decay=0.5))


def test_the_penalty_is_kept_out_of_the_validation_loss():
    plan_ = plan({"regularization.l2": 0.05})
    ours = run(task(), plan_, data())
    regularizer = keras.regularizers.L2(0.05)
    model = keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(8, activation="tanh", kernel_regularizer=regularizer),
            keras.layers.Dense(3, kernel_regularizer=regularizer),
        ]
    )
    model.set_weights(ours.initial)
    theirs = fit(model, plan_, data(), keras.optimizers.SGD(0.1))
    assert_same_weights(ours.model.get_weights(), model.get_weights())
    assert [v["loss"] for v in ours.values] == pytest.approx([v["loss"] for v in theirs], rel=1e-4)
    plain = dense_net()
    plain.set_weights(model.get_weights())
    plain.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    expected = judge(plain, data().validation)["loss"]
    assert ours.values[-1]["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert judge(model, data().validation)["loss"] > expected + 0.01


def test_sample_weights():
    data_ = data(45, weights=True)
    compare(task(), plan(), data_, dense_net(), keras.optimizers.SGD(0.1))


def two_in_two_out():
    left = keras.Input((NUM_FEATURES,), name="left")
    right = keras.Input((2,), name="right")
    hidden = keras.layers.Dense(6, activation="tanh")(keras.layers.Concatenate()([left, right]))
    return keras.Model(
        [left, right],
        [keras.layers.Dense(3, name="kind")(hidden), keras.layers.Dense(1, name="size")(hidden)],
    )


def two_in_two_out_data(named):
    def part(num, seed):
        plain = split(num, seed)
        right = numbers(num, 2, seed=seed)
        size = (right.sum(1, keepdims=True) + plain.x[:, :1]).astype("float32")
        if named:
            # Not in the order of the model's inputs.
            return Split({"right": right, "left": plain.x}, {"size": size, "kind": plain.y})
        return Split([plain.x, right], [plain.y, size])

    return Data(part(45, 1), part(23, 2))


def by_name():
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"kind": cross_entropy, "size": "mse"}


def test_several_inputs_and_outputs_by_position():
    losses = [sparse_loss(), "mse"]
    weights, metrics = [1.0, 0.3], [["accuracy"], ["mae"]]
    task_ = task(two_in_two_out, loss=losses, loss_weights=weights, metrics=metrics)
    compare(
        task_,
        plan({"batch.size": 6}),
        two_in_two_out_data(named=False),
        two_in_two_out(),
        keras.optimizers.SGD(0.1),
        loss=[keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"],
        loss_weights=weights,
        metrics=metrics,
    )


@pytest.mark.parametrize("cache", ["host", "device"])
def test_several_inputs_and_outputs_by_name(cache):
    weights, metrics = {"kind": 1.0, "size": 0.3}, {"kind": ["accuracy"], "size": ["mae"]}
    loss = {"kind": sparse_loss(), "size": "mse"}
    task_ = task(two_in_two_out, loss=loss, loss_weights=weights, metrics=metrics)
    compare(
        task_,
        plan({"data.cache": cache}),
        two_in_two_out_data(named=True),
        two_in_two_out(),
        keras.optimizers.SGD(0.1),
        loss=by_name(),
        loss_weights=weights,
        metrics=metrics,
    )


def test_an_embedding_and_variables_that_the_loss_does_not_reach():
    def net():
        words = keras.Input((4,), dtype="int32")
        table = keras.layers.Embedding(11, 5)(words)
        return keras.Model(words, keras.layers.Dense(3)(keras.layers.Flatten()(table)))

    rng = np.random.default_rng(0)

    def part(num):
        x = rng.integers(0, 11, (num, 4))
        return Split(x, (x.sum(1) % 3).astype("int64"))

    # TensorFlow's gradient of a table has a row for each word read, and Keras takes the norm of
    # these in place of their sums: there the bound is one that nothing reaches.
    bound = 50.0 if keras.backend.backend() == "tensorflow" else 0.5
    plan_ = plan({"optimizer.name": "adam", "clipping.global_norm": bound, "schedule.peak": 0.01})
    optimizer = keras.optimizers.Adam(0.01, global_clipnorm=bound)
    compare(task(net), plan_, Data(part(45), part(23)), net(), optimizer)
