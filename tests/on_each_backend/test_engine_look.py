"""One look at a task: facts for every kind of model, and arithmetic counted by hand."""

import keras
import numpy as np
import pytest
from engine_help import NUM_FEATURES, data, dense_net, numbers, plan, sparse_loss, task

from slipstream.data.splits import Data, Split
from slipstream.engine import Probe, learning_rate_range, look
from slipstream.engine.look import model_facts
from slipstream.errors import PlanError
from slipstream.rewrite.counting import count_multiply_adds
from slipstream.task import AS_GIVEN

L = keras.layers
KERNEL = 3 * 3


def counted(shape, layer, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return count_multiply_adds(keras.Model(inputs, layer(inputs)), np.zeros((1, *shape), dtype))


# 10 x 8 pixels of 4 channels; stride 2 with "same" leaves 5 x 4, "valid" 3 x 3 leaves 8 x 6.
IMAGE = (10, 8, 4)


@pytest.mark.parametrize(
    ("shape", "layer", "expected"),
    [
        ((7,), lambda: L.Dense(5), 7 * 5),
        ((6, 7), lambda: L.Dense(5), 6 * 7 * 5),
        (IMAGE, lambda: L.Conv2D(6, 3, padding="valid"), 8 * 6 * KERNEL * 4 * 6),
        (IMAGE, lambda: L.Conv2D(6, 3, strides=2, padding="same"), 5 * 4 * KERNEL * 4 * 6),
        (IMAGE, lambda: L.Conv2D(6, 3, padding="same", groups=2), 80 * KERNEL * 2 * 6),
        (IMAGE, lambda: L.DepthwiseConv2D(3, padding="same"), 80 * KERNEL * 4),
        (IMAGE, lambda: L.SeparableConv2D(6, 3, padding="same"), 80 * (KERNEL * 4 + 4 * 6)),
        (IMAGE, lambda: L.Conv2DTranspose(6, 3, strides=2, padding="same"), 80 * KERNEL * 4 * 6),
        ((9, 3), lambda: L.LSTM(5), 9 * 4 * (3 * 5 + 5 * 5)),
        ((9, 3), lambda: L.GRU(5, return_sequences=True), 9 * 3 * (3 * 5 + 5 * 5)),
        ((9, 3), lambda: L.Bidirectional(L.LSTM(5)), 2 * 9 * 4 * (3 * 5 + 5 * 5)),
        ((9, 3), lambda: L.TimeDistributed(L.Dense(5)), 9 * 3 * 5),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | int) else "",
)
def test_multiply_adds_of_layers(shape, layer, expected):
    assert counted(shape, layer()) == expected


def test_multiply_adds_of_attention():
    length, width, heads, key = 6, 10, 2, 4
    attention = L.MultiHeadAttention(heads, key)
    inputs = keras.Input((length, width))
    model = keras.Model(inputs, attention(inputs, inputs))
    projections = 4 * length * width * heads * key
    scores = 2 * length * length * heads * key
    assert count_multiply_adds(model, np.zeros((1, length, width))) == projections + scores


def test_multiply_adds_of_attention_between_two_sequences():
    query, value = keras.Input((3, 10)), keras.Input((7, 8))
    attention = L.MultiHeadAttention(2, 4)
    model = keras.Model([query, value], attention(query, value))
    projections = 3 * 10 * 8 + 2 * 7 * 8 * 8 + 3 * 8 * 10
    scores = 3 * 7 * 2 * (4 + 4)
    inputs = (np.zeros((1, 3, 10)), np.zeros((1, 7, 8)))
    assert count_multiply_adds(model, inputs) == projections + scores


def test_a_shared_layer_counts_as_often_as_it_is_called():
    inputs = keras.Input((4,))
    shared = L.Dense(4)
    assert count_multiply_adds(keras.Model(inputs, shared(shared(inputs))), np.zeros((1, 4))) == 32


@pytest.mark.parametrize(
    ("num_train", "changes", "size"),
    [
        (24, {}, 24),
        (45, {}, 32),
        (24, {"batch.size": 16}, 16),
        # Asked for: the checks refuse these.
        (24, {"batch.size": 64}, 64),
        (24, {"batch.accumulation": 2, "runtime.loop": "slipstream"}, 32),
    ],
)
def test_few_examples_are_one_batch_where_nobody_asked_for_its_size(num_train, changes, size):
    few = task(plan=AS_GIVEN.edit(changes))
    facts, _ = look(few, "few.py", data(num_train))
    assert facts.as_given == AS_GIVEN.edit({**changes, "batch.size": size})


def test_facts_of_a_sequential_model():
    facts, model = look(task(target=0.9, monitor="val_accuracy"), "mine.py", data(45))
    assert (facts.reference, facts.name, facts.kind) == ("mine.py", "task", "classification")
    assert (facts.num_train, facts.num_validation, facts.num_test) == (45, 23, 17)
    assert (facts.num_classes, facts.mode, facts.target) == (3, "max", 0.9)
    assert list(facts.input_shapes.values()) == [(NUM_FEATURES,)]
    assert list(facts.output_shapes.values()) == [(3,)]
    assert facts.parameters == dense_net().count_params()
    assert facts.multiply_adds == NUM_FEATURES * 8 + 8 * 3
    assert facts.layers["Dense"] == 2
    assert facts.data_hash == data(45).digest()
    assert model.logged == ("loss", "accuracy")
    (output,) = model.outputs
    assert (output.activation, output.loss, output.from_logits) == (
        "linear",
        "SparseCategoricalCrossentropy",
        True,
    )


def test_facts_of_a_model_without_a_graph():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, x):
            return self.dense(x)

    facts, model = look(task(Plain), "", data())
    assert list(facts.input_shapes.values()) == [(NUM_FEATURES,)]
    assert [output.shape for output in model.outputs] == [(3,)]
    assert facts.num_classes == 3
    assert facts.multiply_adds == 3 * NUM_FEATURES
    # A value below 0 is no probability.
    assert model.outputs[0].activation == "linear"


def test_facts_of_several_inputs_and_outputs_by_name():
    def net():
        number = keras.Input((NUM_FEATURES,), name="number")
        words = keras.Input((4,), dtype="int32", name="words")
        both = L.Concatenate()([number, L.Flatten()(L.Embedding(9, 2)(words))])
        size = L.Dense(1, activation="relu", name="size")(both)
        return keras.Model([number, words], [L.Dense(3, name="kind")(both), size])

    plain = data().train
    part = Split(
        {"words": np.zeros((40, 4), "int64"), "number": plain.x},
        {"kind": plain.y, "size": plain.x[:, :1]},
    )
    task_ = task(
        net,
        loss={"kind": sparse_loss(), "size": "mse"},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        monitor="val_kind_accuracy",
    )
    facts, model = look(task_, "", Data(part, part))
    assert facts.input_shapes == {"number": (NUM_FEATURES,), "words": (4,)}
    assert facts.input_dtypes == {"number": "float32", "words": "int64"}
    assert facts.output_shapes == {"kind": (3,), "size": (1,)}
    assert {output.name: output.activation for output in model.outputs} == {
        "kind": "linear",
        "size": "relu",
    }
    assert set(model.logged) == {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
    assert facts.multiply_adds == (NUM_FEATURES + 8) * 4


def test_a_probe_measures_windows():
    changes = {"runtime.steps_per_execution": 3, "batch.size": 4}
    probe = Probe(task(), plan(changes), data(45))
    windows = probe.measure(0.2, windows=4)
    assert len(windows) == 4 and all(speed > 0 for speed in windows)
    assert probe.compile_seconds > 0
    assert probe.parameters == dense_net().count_params()


def test_a_probe_of_less_than_a_batch_is_refused():
    with pytest.raises(PlanError, match="full batch"):
        Probe(task(), plan({"batch.size": 64}), data(45))


def test_the_range_of_rates_rises_until_the_loss_does():
    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), L.Dense(1, use_bias=False)])

    x = numbers(40, NUM_FEATURES)
    part = Split(x, x.sum(1, keepdims=True))
    points = learning_rate_range(
        task(net, loss="mse", metrics=()), plan(), Data(part, part), 1e-4, 100.0, 31
    )
    rates = [point.rate for point in points]
    np.testing.assert_allclose(rates, np.geomspace(1e-4, 100.0, 31)[: len(points)], rtol=1e-6)
    losses = [point.loss for point in points]
    assert 5 < len(points) < 31, "a rate of 100 diverges"
    assert not losses[-1] <= 4 * min(losses)
    assert min(losses) < losses[0]


def test_an_input_knows_the_smallest_embedding_that_takes_it_as_it_is():
    a, b, c = (keras.Input((3,), name=name) for name in "abc")
    shared = L.Embedding(70, 2)
    parts = [shared(a), L.Embedding(50, 2)(a), shared(b), L.Embedding(9, 2)(c + 1)]
    several = keras.Model({"b": b, "a": a, "c": c}, L.Dense(4)(L.Concatenate()(parts)))
    stack = keras.Sequential([L.Embedding(20, 2), L.Dense(4)])
    stack.build((None, 3))
    for net, tables in (
        (several, {"a": 50, "b": 70, "c": None}),
        (keras.models.clone_model(several), {"a": 50, "b": 70, "c": None}),
        (stack, {stack.inputs[0].name: 20}),
    ):
        facts = model_facts(task(lambda net=net: net), net, None)
        assert {one.name: one.table for one in facts.inputs} == tables
