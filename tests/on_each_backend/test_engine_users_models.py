"""Models and data as users bring them: own steps, odd types, names in any order, half precision."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from engine_help import (
    JIT,
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

from slipstream.data.splits import Data, Split
from slipstream.engine import train
from slipstream.engine.build import build
from slipstream.errors import PlanError


class CountingSteps(keras.Model):
    """Counts, while it is traced or run, how often its own train_step is called."""

    steps = 0

    def train_step(self, *args):
        type(self).steps += 1
        return super().train_step(*args)


def counting_net():
    inputs = keras.Input((NUM_FEATURES,))
    return CountingSteps(inputs, keras.layers.Dense(3, name="logits")(inputs))


def test_an_own_train_step_is_what_runs():
    CountingSteps.steps = 0
    # One batch of 8 and one of 5: two traces where steps are traced.
    ran = run(task(counting_net), plan({"duration.epochs": 2}), data(13))
    assert CountingSteps.steps == (4 if keras.backend.backend() == "torch" else 2)
    assert moved(ran.initial, ran.model.get_weights()) > 0.01


def test_an_own_train_step_cannot_be_accumulated():
    with pytest.raises(PlanError, match="train_step of its own"):
        build(task(counting_net), plan({"batch.accumulation": 2}), data(), 0.1)


class DoubleLoss(keras.Model):
    """Has a loss of its own, with the signature that Keras had first."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return 2.0 * super().compute_loss(x, y, y_pred, sample_weight)


def double_net():
    inputs = keras.Input((NUM_FEATURES,))
    hidden = keras.layers.Dense(8, activation="tanh", name="hidden")(inputs)
    return DoubleLoss(inputs, keras.layers.Dense(3, name="logits")(hidden))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_own_loss_is_trained_on(accumulation):
    changes = {"batch.size": 8 // accumulation, "batch.accumulation": accumulation}
    double = run(task(double_net), plan({"schedule.peak": 0.05, **changes}), data(20))
    plain = run(task(), plan({"schedule.peak": 0.1}), data(20))
    assert_same_weights(double.initial, plain.initial)
    assert_same_weights(double.model.get_weights(), plain.model.get_weights(), rtol=1e-4, atol=1e-5)


class Subclassed(keras.Model):
    """A model without a graph, whose call takes no `training`, with a weight that is never used."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="tanh")
        self.logits = keras.layers.Dense(3)
        self.spare = keras.layers.Dense(4)

    def build(self, shape):
        self.hidden.build(shape)
        self.logits.build((None, 8))
        self.spare.build(shape)

    def call(self, x):
        return self.logits(self.hidden(x))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_subclassed_model_with_an_unused_weight(accumulation):
    changes = {"batch.size": 8 // accumulation, "batch.accumulation": accumulation}
    ran = run(task(Subclassed), plan(changes), data(20))
    # The first layers are drawn in the same order as those of the plain net.
    plain = Run(task(), plan(), data(20))
    plain.model.set_weights(ran.initial[:4])
    plain.program.resume()
    plain.go()
    after = ran.model.get_weights()
    assert_same_weights(after[:4], plain.model.get_weights(), rtol=1e-4, atol=1e-5)
    assert_same_weights(after[4:], ran.initial[4:], rtol=0, atol=0)


def test_gradients_are_traced_once_however_long_it_runs():
    """What is traced in the first epoch is all that is ever traced."""
    calls = []

    class Tracing(keras.layers.Layer):
        def call(self, x):
            calls.append(1)
            return x

    def net():
        inputs = keras.Input((NUM_FEATURES,))
        return keras.Model(inputs, keras.layers.Dense(3)(Tracing()(inputs)))

    counts = []

    def count(event):
        if hasattr(event, "point"):
            counts.append(len(calls))

    changes = {"runtime.steps_per_execution": 2, "duration.epochs": 4}
    run(task(net), plan(changes), data(45, 30), observers=[count])
    grown = {b - a for a, b in pairwise(counts)}
    # Torch traces nothing: five whole updates, a smaller one, and one evaluation an epoch.
    assert grown == ({7} if keras.backend.backend() == "torch" else {0})


@pytest.mark.parametrize("cache", ["host", "device"])
@pytest.mark.parametrize(("x_type", "y_type"), [("float64", "int32"), ("uint8", "int64")])
def test_types_of_arrays(cache, x_type, y_type):
    def scaled():
        inputs = keras.Input((NUM_FEATURES,), dtype="uint8" if x_type == "uint8" else None)
        hidden = keras.layers.Rescaling(1 / 100)(inputs)
        return keras.Model(inputs, keras.layers.Dense(3)(hidden))

    def part(num, seed):
        plain = split(num, seed)
        x = np.clip(100 + 100 * plain.x, 0, 255).astype("uint8")
        return Split(x.astype(x_type), plain.y.astype(y_type))

    def as_float32(plain):
        return Split(plain.x.astype("float32"), plain.y)

    data_ = Data(part(20, 1), part(9, 2))
    ran = run(task(scaled), plan({"data.cache": cache}), data_)
    floats = Data(as_float32(data_.train), as_float32(data_.validation))
    plain = run(task(scaled), plan(), floats)
    assert moved(ran.initial, ran.model.get_weights()) > 0.01
    assert_same_weights(ran.model.get_weights(), plain.model.get_weights(), rtol=1e-5, atol=1e-6)
    assert ran.values[-1] == pytest.approx(plain.values[-1], rel=1e-5)


def test_arrays_of_float64_targets_and_weights():
    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(1)])

    def part(num, kind):
        x = numbers(num, NUM_FEATURES)
        weights = np.linspace(0.5, 2, num)
        return Split(x.astype(kind), x.sum(1, keepdims=True).astype(kind), weights.astype(kind))

    task_ = task(net, loss="mse", metrics=["mae"])
    double, single = (
        run(task_, plan(), Data(part(20, kind), part(9, kind))) for kind in ("float64", "float32")
    )
    assert_same_weights(double.model.get_weights(), single.model.get_weights(), rtol=1e-5)


def test_xla_on_learns_the_same(backend):
    if backend == "torch":
        pytest.skip("torch has no XLA here")
    changes = {"runtime.steps_per_execution": 2, "batch.accumulation": 2, "batch.size": 4}
    on = run(task(), plan({**changes, "runtime.jit": "on"}), data(29, 30))
    auto = run(task(), plan({**changes, "runtime.jit": JIT}), data(29, 30))
    assert_same_weights(on.model.get_weights(), auto.model.get_weights(), rtol=1e-4, atol=1e-5)


def dtype_of_predictions(model):
    return keras.backend.standardize_dtype(model(numbers(2, NUM_FEATURES)).dtype)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("steps", [1, 2])
def test_half_precision_learns_and_gives_float32(policy, steps):
    changes = {"precision.policy": policy, "runtime.steps_per_execution": steps}
    half = run(task(), plan(changes), data(45))
    full = run(task(), plan(), data(45))
    assert dtype_of_predictions(half.model) == "float32"
    assert {w.dtype.name for w in half.model.get_weights()} == {"float32"}
    assert half.model.get_layer("hidden").compute_dtype == policy.removeprefix("mixed_")
    assert half.values[-1]["val_loss"] == pytest.approx(full.values[-1]["val_loss"], rel=0.05)
    assert half.values[-1]["val_loss"] != full.values[-1]["val_loss"]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_overflow_under_float16_is_skipped_and_no_divergence(accumulation):
    def net():
        return keras.Sequential(
            [
                keras.Input((NUM_FEATURES,)),
                keras.layers.Rescaling(30.0),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dense(3, name="logits"),
            ]
        )

    changes = {
        "precision.policy": "mixed_float16",
        "schedule.peak": 1e-3,
        "batch.size": 8 // accumulation,
        "batch.accumulation": accumulation,
    }
    ran = run(task(net), plan(changes), data(45))
    scale = next(np.array(v) for v in ran.model.optimizer.variables if v.name == "dynamic_scale")
    assert scale < 32768, "the test wants steps that overflow"
    assert ran.outcome == "completed"
    assert moved(ran.initial, ran.model.get_weights()) > 1e-4
    assert np.isfinite(ran.values[-1]["val_loss"])


def test_a_loaded_model_takes_the_policy_too(tmp_path):
    inputs = keras.Input((6, 2))
    hidden = keras.layers.Dense(4, activation="relu", name="first")(inputs)
    hidden = keras.layers.LSTM(4, name="memory")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))
    model.save(tmp_path / "model.keras")

    def part(num):
        x = numbers(num, 6, 2)
        return Split(x, (x.sum((1, 2)) > 0).astype("int64"))

    def load():
        return keras.models.load_model(tmp_path / "model.keras")

    ran = run(task(load), plan({"precision.policy": "mixed_bfloat16"}), Data(part(20), part(9)))
    assert ran.model.get_layer("first").compute_dtype == "bfloat16"
    assert ran.model.get_layer("memory").compute_dtype == "bfloat16"
    assert ran.model.get_layer("logits").compute_dtype == "float32"
    output = ran.model(numbers(2, 6, 2))
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    assert np.isfinite(ran.values[-1]["val_loss"])


def nested(output):
    inner = keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(6), output])
    inputs = keras.Input((NUM_FEATURES,))
    return keras.Model(inputs, inner(inputs))


@pytest.mark.parametrize("loaded", [True, False])
def test_outputs_of_a_model_within_a_model_are_float32(tmp_path, loaded):
    def net():
        model = nested(keras.layers.Dense(3))
        if not loaded:
            return model
        return keras.models.load_model(tmp_path / "model.keras")

    nested(keras.layers.Dense(3)).save(tmp_path / "model.keras")
    plan_ = plan({"precision.policy": "mixed_bfloat16", "duration.epochs": 1})
    ran = run(task(net), plan_, data(8))
    assert dtype_of_predictions(ran.model) == "float32"
    inner = ran.model.layers[-1]
    assert [layer.compute_dtype for layer in inner.layers] == ["bfloat16", "float32"]


def test_float32_after_half_precision():
    run(task(), plan({"precision.policy": "mixed_bfloat16", "duration.epochs": 1}), data(8))
    full = run(task(), plan({"duration.epochs": 1}), data(8))
    assert full.model.get_layer("hidden").compute_dtype == "float32"


def test_graph_bfloat16_is_switched_off_again(backend):
    if backend != "tensorflow":
        pytest.skip("TensorFlow alone rewrites graphs")
    import tensorflow as tf

    record = train(task(), plan({"precision.policy": "graph_bfloat16"}), data=data(20))
    assert record.outcome == "completed"
    name = "auto_mixed_precision_onednn_bfloat16"
    assert tf.config.optimizer.get_experimental_options()[name]
    build(task(), plan(), data(20), 0.1)
    assert not tf.config.optimizer.get_experimental_options()[name]


def test_a_model_that_is_used_by_its_user_stays_usable():
    model = dense_net()
    train(task(lambda: model, loss=sparse_loss()), plan(), data=data(20))
    model.compile("sgd", loss="mse", metrics=["mae"])
    model.fit(numbers(8, NUM_FEATURES), numbers(8, 3), verbose=0)
