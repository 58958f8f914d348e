"""Whole steps, lowered, against Keras' fit: weights, slots, statistics and what is logged."""

import keras
import numpy as np
import pytest
from step_cases import (
    BATCH,
    CASES,
    CLASSES,
    EPOCHS,
    NUM_EXAMPLES,
    NUM_FEATURES,
    Case,
    examples,
    logits,
    mlp,
    penalised,
)

from slipstream.backends import open_program, state_of
from slipstream.data.splits import Data, Split, map_arrays
from slipstream.engine import train
from slipstream.lowering import lower_step
from slipstream.plan import Plan
from slipstream.task import Task

layers, losses, optimizers = keras.layers, keras.losses, keras.optimizers


def batches(data):
    for start in range(0, NUM_EXAMPLES, BATCH):
        yield map_arrays(lambda a, s=start: a[s : s + BATCH], data)


def step_through(model, data, parts):
    """Train with a program; returns what it logged after each epoch."""
    program = open_program(model, "torch", jit=False, parts=parts)
    logs = []
    for _ in range(EPOCHS):
        for batch in batches(data):
            program.train(map_arrays(lambda a: a[None, None], batch), None, 1)
        logs.append(program.read_metrics())
    return logs


def fit(model, data):
    x, y, sample_weight = (*data, None)[:3]
    history = model.fit(
        x, y, sample_weight=sample_weight, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0
    )
    return [
        {name: values[epoch] for name, values in history.history.items()} for epoch in range(EPOCHS)
    ]


def assert_same(ours, theirs, rtol, atol):
    for (name, mine), other in zip(ours.items(), theirs.values(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("name", CASES)
def test_a_dozen_steps_as_fit_makes_them(name):
    case = CASES[name]
    data = (*case.data(), None)[:3]
    theirs = case.model(data)
    expected = fit(theirs, data)
    ours = case.model(data)
    before = state_of(ours).variables
    step = lower_step(ours)
    logged = step_through(ours, data, step.parts)
    if theirs.optimizer.use_ema:
        # As fit does at its end.
        ours.optimizer.finalize_variable_values(ours.trainable_variables)
    assert_same(state_of(ours).variables, state_of(theirs).variables, rtol=1e-4, atol=1e-5)
    assert moved(before, state_of(ours).variables) > 0.01
    for mine, other in zip(logged, expected, strict=True):
        assert mine.keys() == other.keys()
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-6)
    assert len(step.fallbacks) >= len(case.leaves)
    for words_of_it in case.leaves:
        assert any(words_of_it in fallback for fallback in step.fallbacks), step.fallbacks


def moved(before, after):
    """The largest change between two states."""
    return max(np.abs(after[name] - value).max() for name, value in before.items())


def test_evaluation_is_that_of_keras():
    case = CASES["masks"]
    data = (*case.data(), None)
    model = case.model(data)
    program = open_program(model, "torch", jit=False, parts=lower_step(model).parts)
    ours = program.evaluate(list(batches(data)))
    assert program.peek_metrics().keys() == ours.keys()
    theirs = model.evaluate(*data[:2], batch_size=BATCH, verbose=0, return_dict=True)
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("lowered", [True, False])
def test_micro_batches_of_unequal_sizes_are_one_update(lowered):
    case = CASES["probabilities"]
    data = case.data()
    models = case.model(data), case.model(data)
    for model in models:
        # Statistics of batches are not those of the whole.
        model.layers[2].trainable = False
    cut = [map_arrays(lambda a: a[:20], data), map_arrays(lambda a: a[20:], data)]
    for model, parts in zip(models, (cut, [data]), strict=True):
        open_program(
            model, "torch", jit=False, parts=lower_step(model).parts if lowered else None
        ).train_ragged(parts, 0.05)
    ours, theirs = (state_of(model).variables for model in models)
    assert_same(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gradients_that_lie_around_do_not_count_and_none_are_left_behind():
    case = CASES["classes"]
    data = (*case.data(), None)
    ours, theirs = case.model(data), case.model(data)
    theirs.fit(*data[:2], batch_size=NUM_EXAMPLES, verbose=0)
    for variable in ours.trainable_variables:
        variable._value.grad = 7.0 * variable._value.detach().clone()
    program = open_program(ours, "torch", jit=False, parts=lower_step(ours).parts)
    program.train_ragged([data], None)
    assert_same(state_of(ours).variables, state_of(theirs).variables, rtol=1e-4, atol=1e-5)
    assert all(variable._value.grad is None for variable in ours.trainable_variables)


class OwnStep(keras.Model):
    """Has a step of its own."""

    def train_step(self, data):
        return super().train_step(data)


class OwnParts(keras.Model):
    """Has a loss and metrics of its own."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + 0.1 * keras.ops.mean(keras.ops.square(y_pred))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super().compute_metrics(x, y, y_pred, sample_weight), "extra": 1.0}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (OwnStep, ["train_step of its own"]),
        (OwnParts, ["computes its loss itself", "computes its metrics itself"]),
    ],
)
def test_what_a_model_has_of_its_own_is_what_runs(kind, says):
    def net():
        inputs = keras.Input((NUM_FEATURES,))
        return kind(inputs, layers.Dense(CLASSES)(inputs))

    case = Case(net, examples, lambda: optimizers.SGD(0.3), loss=logits(), metrics=["accuracy"])
    data = (*examples(), None)
    ours, theirs = case.model(data), case.model(data)
    step = lower_step(ours)
    for words_of_it in says:
        assert any(words_of_it in fallback for fallback in step.fallbacks)
    fit(theirs, data)
    step_through(ours, data, step.parts)
    assert_same(state_of(ours).variables, state_of(theirs).variables, rtol=1e-5, atol=1e-6)


def engine_data():
    x, y = examples()
    return Data(Split(x, y), Split(x[:11], y[:11]))


def engine_task(net):
    return Task(
        model=net,
        data=engine_data,
        loss=losses.serialize(logits()),
        metrics=["accuracy"],
        monitor="val_loss",
    )


ENGINE = {
    "plain": {"optimizer.name": "adamw", "clipping.global_norm": 0.5, "schedule.name": "cosine"},
    "penalty": {"regularization.l2": 0.05, "optimizer.name": "rmsprop"},
    "smoothed": {"regularization.label_smoothing": 0.1, "optimizer.ema": 0.9},
    "accumulated": {"batch.accumulation": 2, "batch.size": 4, "optimizer.name": "adam"},
    "placed": {"data.cache": "device", "runtime.steps_per_execution": 3},
}


@pytest.mark.parametrize("name", ENGINE)
def test_a_plan_learns_the_same_lowered_or_not(name):
    base = Plan().edit(
        {
            "runtime.backend": "torch",
            "schedule.peak": 0.01,
            "batch.size": BATCH,
            "duration.epochs": 3,
            **ENGINE[name],
        }
    )
    lowered = train(engine_task(mlp), base)
    plain = train(engine_task(mlp), base.edit({"runtime.lowering": False}))
    assert lowered.outcome == plain.outcome == "completed", lowered.failure
    for mine, other in zip(lowered.points, plain.points, strict=True):
        assert mine.values == pytest.approx(other.values, rel=1e-3, abs=1e-5)
    assert "layer calls" not in plain.applied["runtime.lowering"]
    assert "3 layer calls" in lowered.applied["runtime.lowering"]
    assert plain.notes == []
    assert lowered.notes == []


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_learns_about_the_same(policy):
    base = Plan().edit(
        {
            "runtime.backend": "torch",
            "schedule.peak": 0.01,
            "batch.size": BATCH,
            "precision.policy": policy,
            "duration.epochs": 3,
        }
    )
    lowered = train(engine_task(mlp), base)
    plain = train(engine_task(mlp), base.edit({"runtime.lowering": False}))
    assert lowered.final_values["loss"] == pytest.approx(plain.final_values["loss"], rel=0.03)
    assert lowered.notes == []


def test_the_record_says_what_fell_back_and_why():
    plan = Plan().edit({"runtime.backend": "torch", "duration.epochs": 1, "batch.size": BATCH})
    record = train(engine_task(penalised), plan)
    assert record.outcome == "completed", record.failure
    assert any("(Entropy): no rule for this class" in note for note in record.notes)
    assert all(note.startswith("Left to Keras: ") for note in record.notes)
