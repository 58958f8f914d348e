"""Each optimizer of a plan against its formula in NumPy, and averaged weights where they count."""

import keras
import numpy as np
import pytest
from engine_help import (
    Run,
    assert_same_weights,
    data,
    dense_net,
    in_order,
    moved,
    numbers,
    plan,
    run,
    task,
)

from slipstream.data.splits import Data, Split
from slipstream.engine.build import build
from slipstream.errors import PlanError

RATE = 0.05
SIZE = 4


def linear_net():
    return keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(1, use_bias=False)])


def linear_data():
    x = numbers(24, SIZE)
    y = (x @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 0.1).astype("float32")
    return Data(Split(x, y), Split(x, y))


def train_linear(changes):
    """Train six updates of linear regression; returns the first weights and the run."""
    plan_ = plan({"schedule.peak": RATE, "duration.epochs": 2, **changes})
    return run(task(linear_net, loss="mse", metrics=()), plan_, linear_data())


def gradients(ran):
    """Yield, for each update, a function from weights to the gradient of its mean square error."""
    for epoch in range(2):
        part = in_order(linear_data().train, 0, epoch)
        for start in range(0, 24, 8):
            x, y = (a[start : start + 8].astype("float64") for a in (part.x, part.y))
            yield lambda w, x=x, y=y: 2 * x.T @ (x @ w - y) / 8


def sgd(w, g, s, t, nesterov=False):
    s["m"] = 0.9 * s.get("m", 0) - RATE * g
    return w + 0.9 * s["m"] - RATE * g if nesterov else w + s["m"]


def nesterov(w, g, s, t):
    return sgd(w, g, s, t, nesterov=True)


def adam(w, g, s, t, decay=0.0):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2
    rate = RATE * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
    return w - RATE * decay * w - rate * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def adamw(w, g, s, t):
    return adam(w, g, s, t, decay=0.3)


def rmsprop(w, g, s, t):
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def adagrad(w, g, s, t):
    s["v"] = s.get("v", 0.1) + g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def lion(w, g, s, t):
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return w - RATE * np.sign(0.9 * m + 0.1 * g)


FORMULAS = {
    sgd: {"optimizer.momentum": 0.9},
    nesterov: {"optimizer.momentum": 0.9, "optimizer.nesterov": True},
    adam: {"optimizer.name": "adam", "optimizer.beta_2": 0.99},
    adamw: {
        "optimizer.name": "adamw",
        "optimizer.beta_2": 0.99,
        "optimizer.weight_decay": 0.3,
    },
    rmsprop: {"optimizer.name": "rmsprop", "optimizer.rho": 0.8},
    adagrad: {"optimizer.name": "adagrad"},
    lion: {"optimizer.name": "lion", "optimizer.beta_2": 0.99},
}


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.__name__)
def test_updates_follow_the_formula(formula):
    ran = train_linear(FORMULAS[formula])
    weights, state = ran.initial[0].astype("float64"), {}
    for t, gradient in enumerate(gradients(ran), start=1):
        weights = formula(weights, gradient(weights), state, t)
    assert moved(ran.initial, [weights]) > 0.01
    np.testing.assert_allclose(ran.model.get_weights()[0], weights, rtol=1e-4, atol=1e-5)


def test_averaged_weights_are_those_that_are_judged_and_kept(tmp_path):
    ran = train_linear({"optimizer.ema": 0.7, "optimizer.momentum": 0.9})
    weights, state, average, judged = ran.initial[0].astype("float64"), {}, None, []
    for t, gradient in enumerate(gradients(ran), start=1):
        weights = sgd(weights, gradient(weights), state, t)
        average = weights if average is None else 0.7 * average + 0.3 * weights
        if t % 3 == 0:
            validation = linear_data().validation
            judged.append(np.mean((validation.x @ average - validation.y) ** 2))
    # Training goes on from the weights themselves, not from their average.
    np.testing.assert_allclose(ran.model.get_weights()[0], weights, rtol=1e-4, atol=1e-5)
    assert [v["val_loss"] for v in ran.values] == pytest.approx(judged, rel=1e-4)


def schedule_free(ran):
    """Return the last weights of Schedule-Free AdamW, and the losses of its averages."""
    y = ran.initial[0].astype("float64")
    x, z, v, losses = y, y, 0.0, []
    for t, gradient in enumerate(gradients(ran), start=1):
        g = gradient(y)
        v = 0.99 * v + 0.01 * g**2
        z = z - RATE * g / (np.sqrt(v / (1 - 0.99**t)) + 1e-7)
        x = (1 - 1 / t) * x + z / t
        y = 0.1 * z + 0.9 * x
        if t % 3 == 0:
            part = linear_data().validation
            losses.append(np.mean((part.x @ x - part.y) ** 2))
    return y, losses


def test_schedule_free_judges_its_average():
    ran = train_linear({"optimizer.name": "schedule_free_adamw", "optimizer.beta_2": 0.99})
    assert ran.built.applied["optimizer.name"] == "Slipstream's schedule_free_adamw"
    y, losses = schedule_free(ran)
    np.testing.assert_allclose(ran.model.get_weights()[0], y, rtol=1e-4, atol=1e-5)
    assert [v["val_loss"] for v in ran.values] == pytest.approx(losses, rel=1e-4)


def test_schedule_free_without_averaging_is_refused():
    plan_ = plan({"optimizer.name": "schedule_free_adamw", "optimizer.beta_1": 0.0})
    with pytest.raises(PlanError, match="beta_1 above 0"):
        build(task(), plan_, data(), 0.1)


def test_muon_turns_hidden_matrices_and_leaves_the_output_to_adam():
    ran = Run(task(), plan({"optimizer.name": "muon", "duration.epochs": 1}), data(8))
    part = in_order(data(8).train, 0, 0)
    before = ran.initial
    ran.go()
    hidden, bias, logits, _ = (a - b for a, b in zip(ran.model.get_weights(), before, strict=True))
    # The first step of Adam is the rate for every weight, with the sign of the gradient.
    np.testing.assert_allclose(np.abs(logits), 0.1, rtol=1e-2)
    np.testing.assert_allclose(np.abs(bias[np.abs(bias) > 0]), 0.1, rtol=1e-2)
    # Muon's is nearly orthogonal: all singular values near one another, times 0.1 * 0.2 * sqrt(8).
    values = np.linalg.svd(hidden, compute_uv=False) / (0.1 * 0.2 * np.sqrt(8))
    rank = np.linalg.matrix_rank(gradient_of_hidden(before, part), tol=1e-4)
    assert rank >= 3
    assert np.all((values[:rank] > 0.3) & (values[:rank] < 1.4))


def gradient_of_hidden(weights, part):
    kernel, bias, out, out_bias = weights
    hidden = np.tanh(part.x @ kernel + bias)
    logits = hidden @ out + out_bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p[np.arange(len(p)), part.y] -= 1
    return part.x.T @ (p @ out.T * (1 - hidden**2)) / len(p)


def test_decay_spares_vectors_with_muon_too():
    changes = {"optimizer.name": "muon", "optimizer.weight_decay": 0.5, "duration.epochs": 1}
    plain = run(task(), plan({**changes, "optimizer.weight_decay": 0.0}), data(8))
    decayed = run(task(), plan(changes), data(8))
    difference = [
        a - b for a, b in zip(plain.model.get_weights(), decayed.model.get_weights(), strict=True)
    ]
    expected = [0.05 * w if w.ndim == 2 else 0 * w for w in plain.initial]
    assert_same_weights(difference, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["muon", "schedule_free_adamw", "lion"])
def test_it_learns(name):
    rate = {"muon": 0.02, "schedule_free_adamw": 0.02, "lion": 0.005}[name]
    plan_ = plan({"optimizer.name": name, "schedule.peak": rate, "duration.epochs": 6})
    ran = run(task(dense_net), plan_, data(64))
    losses = [v["val_loss"] for v in ran.values]
    assert losses[-1] < 0.9 * losses[0]
