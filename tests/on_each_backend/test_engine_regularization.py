"""What regularizes a plan's training: its gradients, its state, its place in the record."""

import keras
import numpy as np
import pytest
from engine_help import NUM_FEATURES, Run, data, numbers, plan, run, task

from slipstream.backends import restore_state
from slipstream.data.order import epoch_order
from slipstream.data.splits import Data, Split
from slipstream.engine.build import build
from slipstream.engine.limits import Limits
from slipstream.errors import PlanError

L = keras.layers
TORCH = keras.backend.backend() == "torch"


def residual_net():
    """Smooth, so that differences are derivatives; BatchNormalization would hide penalties."""
    x = keras.Input((4, 4, 2))
    a = L.Conv2D(3, 3, padding="same", activation="tanh", name="conv")(x)
    b = L.Conv2D(3, 3, padding="same", activation="tanh", name="branch")(a)
    b = L.Conv2D(3, 3, padding="same", name="again")(b)
    y = L.Flatten()(L.Add()([b, L.Conv2D(3, 3, padding="same", name="projection")(a)]))
    return keras.Model(x, L.Dense(3)(L.Dense(5, activation="tanh", name="hidden")(y)))


def images(num):
    x = numbers(num, 4, 4, 2)
    part = Split(x, (np.arange(num) % 3).astype("int64"))
    return Data(part, part)


L1_AND_L2 = {"regularization.l1": 0.02, "regularization.l2": 0.03}
REGULARIZERS = {
    "l1 and l2": L1_AND_L2,
    "adaptive": {**L1_AND_L2, "regularization.adaptive_gap": 0.1},
    "channels and branches": {
        "regularization.spatial_dropout": 0.3,
        "regularization.stochastic_depth": 0.5,
    },
    "weights": {"regularization.drop_connect": 0.3},
}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_an_update_follows_the_slope_of_the_loss_that_it_is_told(name):
    changes = {**REGULARIZERS[name], "schedule.peak": 1.0, "duration.epochs": 1}
    ran = Run(task(residual_net), plan(changes), images(8))
    if name == "adaptive":
        ran.built.penalty.factor.assign(4.0)
    state = ran.loop.hand_out()
    (block,) = ran.feed.epoch(0)

    def update(weights, rate):
        """The loss of one update at these weights; the random state is the same each time."""
        restore_state(ran.model, state)
        ran.model.set_weights(weights)
        ran.program.resume()
        ran.program.train(block.arrays, np.full(1, rate, "float32"), 1)
        ran.program.synchronize()
        return ran.program.read_metrics()["loss"]

    # Away from zero, where absolute values have no slope.
    start = [np.where(w < 0, -1, 1) * np.maximum(np.abs(w), 0.01) for w in ran.initial]
    update(start, 1.0)
    gradient = [a - b for a, b in zip(start, ran.model.get_weights(), strict=True)]
    random = np.random.default_rng(3)
    for _ in range(3):
        way = [random.choice([-1.0, 1.0], w.shape).astype("float32") for w in start]
        ahead, back = (
            update([w + step * d for w, d in zip(start, way, strict=True)], 0.0)
            for step in (1e-3, -1e-3)
        )
        slope = sum(float(np.sum(g * d)) for g, d in zip(gradient, way, strict=True))
        assert (ahead - back) / 2e-3 == pytest.approx(slope, rel=1e-2, abs=3e-3)
    plain = update(start, 0.0)
    if name in ("l1 and l2", "adaptive"):
        kernels = [w for w in start if w.ndim > 1]
        penalty = sum(0.02 * np.abs(w).sum() + 0.03 * np.square(w).sum() for w in kernels)
        times = 4.0 if name == "adaptive" else 1.0
        part = images(8).train
        own = -np.mean(log_softmax(ran.model(part.x))[np.arange(8), part.y])
        assert plain == pytest.approx(own + times * penalty, rel=1e-4)


def log_softmax(logits):
    logits = keras.ops.convert_to_numpy(logits).astype("float64")
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


WORDS = {
    "l1 and l2": {"regularization.l1": "on 6 kernels", "regularization.l2": "on 6 kernels"},
    "adaptive": {
        "regularization.adaptive_gap": "a factor on regularization.l1 and regularization.l2, 1 at "
        "first",
        "regularization.adaptive_step": "at most times 1.5 at once",
        "regularization.adaptive_limit": "from 0.01 to 100",
    },
    "channels and branches": {
        "regularization.spatial_dropout": "rate 0.3, 4 layers",
        "regularization.stochastic_depth": "1 residual branches, rates 0.5 to 0.5",
    },
    "weights": {"regularization.drop_connect": "on 5 kernels"},
}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_the_record_says_on_how_many_and_outputs_and_files_stay_the_tasks(name, tmp_path):
    built = build(task(residual_net), plan(REGULARIZERS[name]), images(8), 0.1)
    assert {key: built.applied[key] for key in WORDS[name]} == WORDS[name]
    # The weights fit the task's own model, which computes the same.
    own = residual_net()
    built.stored.save_weights(tmp_path / "of.weights.h5")
    own.load_weights(tmp_path / "of.weights.h5")
    x = numbers(5, 4, 4, 2, seed=9)
    ours, theirs = (keras.ops.convert_to_numpy(model(x)) for model in (built.model, own))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(not TORCH, reason="only PyTorch's steps are lowered")
def test_layers_with_dropped_weights_are_left_to_keras_by_name():
    ran = Run(task(residual_net), plan(REGULARIZERS["weights"]), images(8))
    left = [note for note in ran.built.notes if "weights are dropped" in note]
    assert len(left) == 5
    assert any("hidden (Dense)" in note for note in left)
    ran = Run(task(residual_net), plan(REGULARIZERS["channels and branches"]), images(8))
    assert not [note for note in ran.built.notes if "Left to Keras" in note]


SIZE = 4


def linear_net():
    return keras.Sequential([keras.Input((SIZE,)), L.Dense(1, use_bias=False)])


def linear_data():
    x, other = numbers(18, SIZE), numbers(25, SIZE, seed=7)
    true = np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")
    return Data(
        Split(x, x @ true + 0.5 * numbers(18, 1, seed=4)),
        Split(other, other @ true + 0.9 * numbers(25, 1, seed=5)),
    )


def test_penalties_follow_the_gap_between_the_losses():
    aim, step, limit, l1, l2, rate = 0.5, 3.0, 8.0, 0.01, 0.02, 0.1
    changes = {
        "regularization.l1": l1,
        "regularization.l2": l2,
        "regularization.adaptive_gap": aim,
        "regularization.adaptive_step": step,
        "regularization.adaptive_limit": limit,
        "schedule.peak": rate,
        "duration.epochs": 6,
    }
    data_ = linear_data()
    ran = run(task(linear_net, loss="mse", metrics=()), plan(changes), data_)
    w, factor = ran.initial[0].astype("float64"), 1.0
    told = []
    for epoch in range(6):
        order = epoch_order(18, 0, epoch)
        for start in range(0, 18, 8):
            x, y = (array[order[start : start + 8]] for array in (data_.train.x, data_.train.y))
            gradient = 2 * x.T @ (x @ w - y) / len(x)
            w = w - rate * (gradient + factor * (l1 * np.sign(w) + 2 * l2 * w))
        loss, val_loss = (np.mean((s.x @ w - s.y) ** 2) for s in (data_.train, data_.validation))
        gap = (val_loss - loss) / max(loss, val_loss)
        told.append((val_loss, gap, factor))
        factor = np.clip(factor * step ** np.clip(gap / aim - 1, -1, 1), 1 / limit, limit)
    for point, (val_loss, gap, before) in zip(ran.values, told, strict=True):
        assert point["val_loss"] == pytest.approx(val_loss, rel=1e-4)
        assert point["penalty_gap"] == pytest.approx(gap, abs=1e-4)
        assert point["penalty_factor"] == pytest.approx(before, rel=1e-3)
    factors = [before for _, _, before in told]
    ends = {1 / limit, limit}
    assert len(set(factors) - ends) > 2, "the factor stayed where it was"
    np.testing.assert_allclose(ran.model.get_weights()[0], w, rtol=1e-3, atol=1e-4)
    assert len(ran.model.weights) == 1


def dense_residual_net():
    x = keras.Input((NUM_FEATURES,))
    a = L.Dense(6, activation="tanh")(x)
    a = a + L.Dense(6, activation="tanh")(a)
    return keras.Model(x, L.Dense(3)(a))


def test_all_of_it_goes_on_where_it_stopped():
    changes = {
        "regularization.l2": 0.01,
        "regularization.adaptive_gap": 0.05,
        "regularization.drop_connect": 0.3,
        "regularization.stochastic_depth": 0.5,
        "regularization.dropout": 0.2,
        "duration.evaluations_per_epoch": 2,
        "duration.epochs": 2,
    }
    make = lambda: Run(task(dense_residual_net), plan(changes), data(32, 20))  # noqa: E731
    first = make().go(Limits(updates=3))
    state = first.loop.hand_out()
    whole = first.go()
    second = make()
    second.loop.take_back(state)
    second.go()
    for mine, theirs in zip(second.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert second.values[-1] == whole.values[-1]
    factors = [values["penalty_factor"] for values in whole.values]
    assert factors[0] == 1.0 and len(set(factors)) > 2
    assert second.values[0]["penalty_factor"] == factors[1] != 1.0


def plain_net():
    return keras.Sequential([keras.Input((NUM_FEATURES,)), L.Dense(3)])


class WithoutGraph(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, x):
        return self.dense(x)


def penalised_net():
    penalty = keras.regularizers.L2(0.1)
    return keras.Sequential([keras.Input((NUM_FEATURES,)), L.Dense(3, kernel_regularizer=penalty)])


@pytest.mark.parametrize(
    ("net", "key", "says"),
    [
        (plain_net, "stochastic_depth", "residual branches"),
        (plain_net, "spatial_dropout", "convolution"),
        (plain_net, "drop_connect", "before those that make the outputs"),
        (WithoutGraph, "stochastic_depth", "WithoutGraph"),
        (WithoutGraph, "spatial_dropout", "WithoutGraph"),
        (penalised_net, "l1", "no regularizer of their own"),
    ],
)
def test_what_a_model_has_no_place_for_is_refused_before_the_first_step(net, key, says):
    plan_ = plan({f"regularization.{key}": 0.2})
    with pytest.raises(PlanError, match=says) as caught:
        build(task(net), plan_, data(8), 0.1)
    assert f"regularization.{key} = 0" in str(caught.value)
