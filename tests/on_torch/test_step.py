"""Whole steps, lowered, against Keras' fit: weights, slots, statistics and what is logged."""

import keras
import numpy as np
import pytest

from slipstream.backends import open_program, state_of
from slipstream.data.splits import Data, Split, map_arrays
from slipstream.engine import train
from slipstream.lowering import lower_step
from slipstream.plan import Plan
from slipstream.task import Task

NUM_FEATURES, CLASSES, BATCH, EPOCHS = 5, 3, 8, 2
# Three whole batches and a smaller one.
NUM_EXAMPLES = 28
layers, losses, optimizers = keras.layers, keras.losses, keras.optimizers


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def examples():
    x = numbers(NUM_EXAMPLES, NUM_FEATURES)
    return x, x[:, :CLASSES].argmax(1)


def weights():
    return np.random.default_rng(2).uniform(0.1, 2, NUM_EXAMPLES).astype("float32")


def mlp(**last):
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES, **last)(hidden))


def logits():
    return losses.SparseCategoricalCrossentropy(from_logits=True)


class Entropy(layers.Layer):
    """A layer that no rule knows and that adds to the loss."""

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x)))
        return x


def penalised():
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.Dense(
        8, "tanh", kernel_regularizer=keras.regularizers.L2(0.1), bias_regularizer="l1"
    )(inputs)
    hidden = Entropy()(hidden)
    hidden = layers.Dense(4, activity_regularizer=keras.regularizers.L1(0.05))(hidden)
    return keras.Model(inputs, layers.Dense(CLASSES)(hidden))


def frozen():
    model = mlp()
    model.layers[1].trainable = False
    return model


def two_outputs():
    inputs = keras.Input((NUM_FEATURES,))
    hidden = layers.Dense(8, activation="tanh")(inputs)
    kind = layers.Dense(CLASSES, name="kind")(hidden)
    size = layers.Dense(1, name="size")(hidden)
    return keras.Model(inputs, {"kind": kind, "size": size})


def listed_outputs():
    named = two_outputs()
    size = layers.Activation("softplus", name="positive")(named.outputs[1])
    return keras.Model(named.inputs, [named.outputs[0], size])


def listed_examples():
    x, y = examples()
    return x, [y, np.abs(x).sum(1, keepdims=True)]


def words():
    inputs = keras.Input((6,), dtype="int32")
    table = layers.Embedding(9, 4, mask_zero=True)(inputs)
    hidden = layers.LSTM(5, return_sequences=True)(table)
    return keras.Model(inputs, layers.Dense(CLASSES)(hidden))


def sentences():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 9, (NUM_EXAMPLES, 6))
    x[np.arange(6)[None] >= rng.integers(2, 7, NUM_EXAMPLES)[:, None]] = 0
    return x, x % CLASSES


class Case:
    """A model, how it is compiled, and what it is trained on."""

    def __init__(self, net, data, optimizer, leaves=(), metrics=None, **compiled):
        self.net, self.data, self.optimizer, self.compiled = net, data, optimizer, compiled
        self.metrics = metrics
        # Words that must stand in what is left to Keras, one for each.
        self.leaves = leaves

    def model(self, data):
        keras.utils.set_random_seed(3)
        model = self.net()
        # No two models may share a metric.
        metrics = self.metrics() if callable(self.metrics) else self.metrics
        model.compile(self.optimizer(), metrics=metrics, **self.compiled)
        model._symbolic_build(data_batch=map_arrays(lambda a: a[:2], data))
        return model


def weighted():
    return (*examples(), weights())


def sizes():
    x, _ = examples()
    return x, x.sum(1), weights()


def kinds_and_sizes():
    x, y = examples()
    return x, {"kind": y, "size": x.sum(1, keepdims=True)}, {"kind": weights(), "size": weights()}


CASES = {
    "classes": Case(
        mlp,
        examples,
        lambda: optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0),
        loss=logits(),
        metrics=["accuracy"],
    ),
    "probabilities": Case(
        lambda: mlp(activation="softmax"),
        weighted,
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", "sparse_categorical_crossentropy"],
        weighted_metrics=["accuracy"],
    ),
    "numbers": Case(
        lambda: keras.Sequential(
            [keras.Input((NUM_FEATURES,)), layers.Dense(4, "relu"), layers.Dense(1)]
        ),
        sizes,
        lambda: optimizers.RMSprop(
            optimizers.schedules.CosineDecay(0.0, 6, warmup_target=0.02, warmup_steps=3)
        ),
        loss=losses.Huber(delta=0.5),
        metrics=lambda: ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()],
        weighted_metrics=["mse"],
        loss_weights=2.0,
        leaves=("r2_score",),
    ),
    "penalties": Case(
        penalised,
        weighted,
        lambda: optimizers.Adam(0.02, clipnorm=0.3),
        loss=logits(),
        metrics=["accuracy"],
        leaves=("Entropy", "activity regularizer"),
    ),
    "frozen": Case(frozen, examples, lambda: optimizers.Adam(0.02), loss=logits()),
    "average": Case(
        mlp,
        examples,
        lambda: optimizers.Lion(0.01, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3),
        loss=logits(),
    ),
    "two outputs": Case(
        two_outputs,
        kinds_and_sizes,
        lambda: optimizers.Adagrad(0.1),
        loss={"kind": logits(), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae", "mse"]},
        weighted_metrics={"size": ["mae"]},
    ),
    "a list of outputs": Case(
        listed_outputs,
        lambda: (*listed_examples(), [weights(), weights()]),
        lambda: optimizers.Adam(0.02),
        loss=[logits(), losses.Poisson()],
        loss_weights=[1.0, 0.3],
        metrics=[["accuracy"], ["mae"]],
        leaves=("poisson",),
    ),
    "weights of all outputs": Case(
        listed_outputs,
        lambda: (*listed_examples(), weights()),
        lambda: optimizers.Adam(0.02),
        loss=[logits(), "mse"],
    ),
    "masks": Case(
        words, sentences, lambda: optimizers.Adam(0.02), loss=logits(), metrics=["accuracy"]
    ),
    "accumulation": Case(
        mlp,
        examples,
        lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
        loss=logits(),
        leaves=("accumulates",),
    ),
    "no kernel": Case(
        mlp, examples, lambda: optimizers.Nadam(0.01), loss="sparse_categorical_crossentropy",
        leaves=("Nadam",),
    ),
}  # fmt: skip


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
    before = state_of(ours)
    step = lower_step(ours)
    logged = step_through(ours, data, step.parts)
    if theirs.optimizer.use_ema:
        # As fit does at its end.
        ours.optimizer.finalize_variable_values(ours.trainable_variables)
    assert_same(state_of(ours), state_of(theirs), rtol=1e-4, atol=1e-5)
    assert moved(before, state_of(ours)) > 0.01
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
    ours, theirs = map(state_of, models)
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
    assert_same(state_of(ours), state_of(theirs), rtol=1e-4, atol=1e-5)
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
    assert_same(state_of(ours), state_of(theirs), rtol=1e-5, atol=1e-6)


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
    assert "runtime.lowering" not in plain.applied
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
