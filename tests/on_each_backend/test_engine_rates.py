"""What lowers a rate on a plateau, and the momentum of each update, against other ways to them."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from engine_help import Run, assert_same_weights, data, in_order, numbers, plan, task
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.backends import TrainingState
from slipstream.data.splits import Data, Split
from slipstream.engine.limits import Limits
from slipstream.ops.plateau import Plateau
from slipstream.plan.parts import Schedule

# No evaluation is better than the first one by that much.
PLATEAU = {
    "schedule.plateau_patience": 1,
    "schedule.plateau_factor": 0.5,
    "schedule.plateau_min_delta": 100.0,
    "duration.epochs": 4,
}


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_plateau_multiplies_what_the_schedule_says(name):
    rates = []
    changes = {"schedule.name": name, "schedule.warmup": 0.1}
    lowered = Run(task(), plan({**PLATEAU, **changes}), data(), observers=[_noting(rates)]).go()
    other = Run(task(), plan({**changes, "duration.epochs": 4}), data())
    # Five updates an epoch: two epochs at the schedule's rate, one at half, one at a quarter.
    other.loop._rates *= np.repeat([1.0, 1.0, 0.5, 0.25], 5).astype("float32")
    other.go()
    assert_same_weights(lowered.model.get_weights(), other.model.get_weights(), 0, 0)
    np.testing.assert_allclose(rates, other.loop._rates[4::5], rtol=1e-6)
    notes = [note for note in lowered.built.notes if "No better value" in note]
    assert [note.split(":")[1] for note in notes] == [
        " after update 10 the schedule's rates are multiplied by 0.5.",
        " after update 15 the schedule's rates are multiplied by 0.25.",
        " after update 20 the schedule's rates are multiplied by 0.125.",
    ]


def _noting(rates):
    def note(event):
        if hasattr(event, "point"):
            rates.append(event.learning_rate)

    return note


def test_a_plateau_goes_on_where_its_training_stopped():
    whole = Run(task(), plan(PLATEAU), data())
    whole.go(Limits(updates=12))
    state = whole.loop.hand_out()
    whole.go()
    rest = Run(task(), plan(PLATEAU), data())
    rest.loop.take_back(TrainingState.from_arrays(state.to_arrays()))
    rest.go()
    assert_same_weights(rest.model.get_weights(), whole.model.get_weights(), 0, 0)
    ours, theirs = (one.loop.hand_out().plateau for one in (rest, whole))
    assert ours == theirs
    assert ours["factor"] == 0.125


@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, float("nan")]), max_size=25),
    patience=st.integers(1, 3),
    cooldown=st.integers(0, 3),
    floor=st.sampled_from([0.0, 0.2]),
    mode=st.sampled_from(["min", "max"]),
)
@settings(max_examples=40, deadline=None)
def test_it_lowers_when_keras_would(values, patience, cooldown, floor, mode):
    delta = 0.07
    keras_callback = keras.callbacks.ReduceLROnPlateau(
        "x",
        factor=0.5,
        patience=patience,
        mode=mode,
        min_delta=delta,
        cooldown=cooldown,
        min_lr=floor,
    )
    optimizer = keras.optimizers.SGD(1.0)
    keras_callback.set_model(SimpleNamespace(optimizer=optimizer))
    keras_callback.on_train_begin()
    schedule = Schedule(
        plateau_patience=patience,
        plateau_factor=0.5,
        plateau_cooldown=cooldown,
        plateau_floor=floor,
        plateau_min_delta=delta,
    )
    ours = Plateau(schedule, mode)
    # Keras takes a first NaN for the best value.
    for epoch, value in enumerate([0.2, *values]):
        keras_callback.on_epoch_end(epoch, {"x": value})
        before = ours.factor
        assert ours.observe(value) == (ours.factor < before)
        assert ours.factor == pytest.approx(float(np.array(optimizer.learning_rate)), rel=1e-6)


def linear_net():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])


def linear_data():
    x = numbers(24, 4)
    y = (x @ np.array([[1.0], [-2.0], [0.5], [3.0]])).astype("float32")
    return Data(Split(x, y), Split(x, y))


def sgd(w, g, rate, momentum, slots, step):
    slots["m"] = momentum * slots.get("m", 0) - rate * g
    return w + slots["m"]


def nesterov(w, g, rate, momentum, slots, step):
    slots["m"] = momentum * slots.get("m", 0) - rate * g
    return w + momentum * slots["m"] - rate * g


def adam(w, g, rate, momentum, slots, step):
    slots["m"] = momentum * slots.get("m", 0) + (1 - momentum) * g
    slots["v"] = 0.999 * slots.get("v", 0) + 0.001 * g**2
    size = rate * np.sqrt(1 - 0.999**step) / (1 - momentum**step)
    return w - size * slots["m"] / (np.sqrt(slots["v"]) + 1e-7)


@pytest.mark.parametrize(
    ("formula", "changes"),
    [
        (sgd, {"optimizer.name": "sgd", "optimizer.momentum": 0.9}),
        (nesterov, {"optimizer.momentum": 0.9, "optimizer.nesterov": True}),
        (adam, {"optimizer.name": "adam", "optimizer.beta_1": 0.9}),
    ],
)
def test_momentum_mirrors_the_rate_of_one_cycle(formula, changes):
    changes = {
        "schedule.name": "one_cycle",
        "schedule.warmup": 0.5,
        "schedule.momentum_low": 0.5,
        "schedule.peak": 0.05,
        "duration.epochs": 2,
        "runtime.steps_per_execution": 3,
        **changes,
    }
    ran = Run(task(linear_net, loss="mse", metrics=()), plan(changes), linear_data()).go()
    # Six updates: from high to low along half a cosine, and back.
    momenta = 0.9 - 0.4 * (1 - np.cos(np.pi * np.arange(6) / 3)) / 2
    (weights,) = (w.astype("float64") for w in ran.initial)
    slots, step = {}, 0
    for epoch in range(2):
        part = in_order(linear_data().train, 0, epoch)
        for start in range(0, 24, 8):
            x, y = (a[start : start + 8].astype("float64") for a in (part.x, part.y))
            gradient = 2 * x.T @ (x @ weights - y) / 8
            rate, momentum = ran.rates[step], momenta[step]
            step += 1
            weights = formula(weights, gradient, rate, momentum, slots, step)
    assert_same_weights(ran.model.get_weights(), [weights], rtol=1e-4)
