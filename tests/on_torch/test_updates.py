"""Native optimizer steps against Keras' own: weights, slots and counters after twenty of them."""

import keras
import numpy as np
import pytest
import torch
from keras.optimizers import schedules

from slipstream.lowering._layout import restride
from slipstream.lowering.updates import NotNativeError, lower_update
from slipstream.lowering.updates._rate import AHEAD, Rate

SHAPES = [(4, 3), (3,), (2, 3, 5), (1,), (3, 2, 2, 4)]
STEPS = 20
optimizers = keras.optimizers


def build(make, constraint=None):
    """Return an optimizer and the variables that it was built for."""
    rng = np.random.default_rng(1)
    weights = [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=f"weight_{i}")
        for i, shape in enumerate(SHAPES)
    ]
    weights[0].constraint = constraint
    optimizer = make(weights)
    optimizer.build(weights)
    return optimizer, weights


def gradients(step, size=1.0, missing=()):
    """Return gradients of very different sizes, some of them zero."""
    rng = np.random.default_rng(step)
    drawn = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
    scaled = [size * 10.0 ** (i - 2) * gradient for i, gradient in enumerate(drawn)]
    scaled[2][0] = 0.0
    return [None if i in missing else gradient for i, gradient in enumerate(scaled)]


def compare(make, steps=STEPS, rates=None, rtol=1e-5, prepare=None, constraint=None, **settings):
    """Step both and compare everything; returns the native optimizer and its variables."""
    ours, theirs = build(make, constraint), build(make, constraint)
    before = [np.array(weight) for weight in ours[1]]
    if prepare is not None:
        prepare(ours[1])
    update = lower_update(*ours)
    with torch.no_grad():
        for step in range(steps):
            rate = None if rates is None else rates[step]
            update(gradients(step, **settings), rate)
            if rate is not None:
                theirs[0].learning_rate = rate
            theirs[0].apply(gradients(step, **settings), theirs[1])
    pairs = zip([*ours[1], *ours[0].variables], [*theirs[1], *theirs[0].variables], strict=True)
    for mine, other in pairs:
        np.testing.assert_allclose(
            np.array(mine), np.array(other), rtol=rtol, atol=2e-6, err_msg=mine.path
        )
    moved = [np.abs(np.array(w) - b).max() for w, b in zip(ours[1], before, strict=True)]
    assert max(moved) > 0.01
    return *ours, moved


def plain(kind, *args, **kwargs):
    return lambda weights: kind(*args, **kwargs)


def without_decay_of_two(weights):
    optimizer = optimizers.AdamW(0.01, weight_decay=0.3)
    optimizer.exclude_from_weight_decay(var_list=weights[1:2], var_names=["weight_3"])
    return optimizer


OPTIMIZERS = {
    "sgd": plain(optimizers.SGD, 0.05),
    "momentum": plain(optimizers.SGD, 0.05, momentum=0.9),
    "nesterov": plain(optimizers.SGD, 0.05, momentum=0.9, nesterov=True),
    "sgd with decay": plain(optimizers.SGD, 0.05, weight_decay=0.1),
    "adam": plain(optimizers.Adam, 0.01),
    "large epsilon": plain(optimizers.Adam, 0.01, beta_1=0.8, beta_2=0.95, epsilon=0.1),
    "amsgrad": plain(optimizers.Adam, 0.01, amsgrad=True),
    "adamw": plain(optimizers.AdamW, 0.01, weight_decay=0.2),
    "adamw with exclusions": without_decay_of_two,
    "rmsprop": plain(optimizers.RMSprop, 0.01),
    "rmsprop with all": plain(
        optimizers.RMSprop, 0.01, rho=0.8, momentum=0.9, centered=True, weight_decay=0.1
    ),
    "adagrad": plain(optimizers.Adagrad, 0.05, epsilon=1e-3),
    "lion": plain(optimizers.Lion, 0.005, weight_decay=0.1),
}
SETTINGS = {
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.2},
    "global_clipnorm": {"global_clipnorm": 1.5},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema that overwrites": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    "loss_scale_factor": {"loss_scale_factor": 8.0},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_as_keras(name):
    optimizer, *_ = compare(OPTIMIZERS[name])
    assert int(optimizer.iterations) == STEPS


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "make",
    [lambda **s: optimizers.SGD(0.05, momentum=0.9, **s), lambda **s: optimizers.AdamW(0.01, **s)],
    ids=["momentum", "adamw"],
)
def test_the_same_as_keras_with(name, make):
    compare(lambda weights: make(**SETTINGS[name]))


@pytest.mark.parametrize("name", ["momentum", "amsgrad", "rmsprop with all", "lion"])
def test_however_the_variables_lie_in_memory(name):
    def lay_out_anew(weights):
        restride(weights[4], (3, 2, 0, 1))
        restride(weights[0], (1, 0))

    _, weights, _ = compare(OPTIMIZERS[name], prepare=lay_out_anew)
    assert not weights[4]._value.is_contiguous()


def test_a_variable_that_is_laid_out_anew_between_two_steps():
    (optimizer, weights), (other, theirs) = build(OPTIMIZERS["adam"]), build(OPTIMIZERS["adam"])
    update = lower_update(optimizer, weights)
    with torch.no_grad():
        for step in range(4):
            if step == 2:
                restride(weights[4], (3, 2, 0, 1))
            laid_out = [
                torch.empty_like(w._value.detach()).copy_(g)
                for w, g in zip(weights, gradients(step), strict=True)
            ]
            update(laid_out, None)
            other.apply(gradients(step), theirs)
    np.testing.assert_allclose(np.array(weights[4]), np.array(theirs[4]), rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", ["adamw", "momentum", "rmsprop with all"])
def test_variables_without_gradient_stay(name):
    _, _, moved = compare(OPTIMIZERS[name], missing=(1, 4))
    assert moved[1] == moved[4] == 0.0


def test_keras_warning_of_a_missing_gradient_and_its_error_where_all_are():
    optimizer, weights = build(OPTIMIZERS["adam"])
    update = lower_update(optimizer, weights)
    with pytest.warns(UserWarning, match="Gradients do not exist for variables.*weight_1"):
        update(gradients(0, missing=(1,)), None)
    with pytest.raises(ValueError, match="No gradients provided"):
        update([None] * len(SHAPES), None)


def test_variables_that_were_frozen_later_stay_without_a_word():
    optimizer, weights = build(OPTIMIZERS["adam"])
    update = lower_update(optimizer, weights)
    weights[1].trainable = False
    before = np.array(weights[1])
    with torch.no_grad():
        update(gradients(0, missing=(1,)), None)
    np.testing.assert_array_equal(np.array(weights[1]), before)


def test_constraints_hold_after_the_update():
    _, weights, _ = compare(OPTIMIZERS["momentum"], constraint=keras.constraints.MaxNorm(0.3))
    assert np.linalg.norm(np.array(weights[0]), axis=0).max() <= 0.3 + 1e-6


def test_rates_that_the_engine_gives():
    rates = np.geomspace(0.1, 0.001, STEPS).astype("float32").tolist()
    optimizer, *_ = compare(OPTIMIZERS["adamw"], rates=rates)
    assert float(optimizer.learning_rate) == rates[-1]


def test_a_rate_and_constants_that_somebody_changes_count_from_the_next_step():
    (optimizer, weights), (other, theirs) = build(OPTIMIZERS["adam"]), build(OPTIMIZERS["adam"])
    update = lower_update(optimizer, weights)
    with torch.no_grad():
        for step in range(6):
            for changed in (optimizer, other):
                changed.learning_rate = 0.01 / (step + 1)
                changed.beta_1 = 0.9 - 0.1 * step
                changed.global_clipnorm = 1.0 + step
            update(gradients(step), None)
            other.apply(gradients(step), theirs)
    for mine, their in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(their), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("growth", [3, 1000])
def test_dynamic_loss_scaling_with_overflows(growth):
    def make(weights):
        inner = optimizers.AdamW(0.01, global_clipnorm=1.0, use_ema=True)
        return optimizers.LossScaleOptimizer(
            inner, initial_scale=2.0**10, dynamic_growth_steps=growth
        )

    (ours, weights), (other, theirs) = build(make), build(make)
    update = lower_update(ours, weights)

    def scaled(optimizer, step):
        scaled = gradients(step, size=float(np.array(optimizer.dynamic_scale)))
        if step in (0, 7, 8):
            scaled[2][1, 1, 1] = float("inf") if step else float("nan")
        return scaled

    with torch.no_grad():
        for step in range(STEPS):
            update(scaled(ours, step), None)
            other.apply(scaled(other, step), theirs)
    pairs = zip([*weights, *ours.variables], [*theirs, *other.variables], strict=True)
    for mine, their in pairs:
        np.testing.assert_allclose(np.array(mine), np.array(their), rtol=1e-5, atol=1e-6)
    assert int(ours.iterations) == STEPS - 3


SCHEDULES = {
    "exponential": schedules.ExponentialDecay(0.1, 7, 0.5),
    "staircase": schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True),
    "piecewise": schedules.PiecewiseConstantDecay([3, 60], [0.1, 0.03, 0.01]),
    "polynomial": schedules.PolynomialDecay(0.1, 50, 0.001, power=2.0),
    "cycle": schedules.PolynomialDecay(0.1, 20, 0.001, power=2.0, cycle=True),
    "inverse time": schedules.InverseTimeDecay(0.1, 10, 0.5),
    "cosine": schedules.CosineDecay(0.1, 50, alpha=0.01),
    "warm-up": schedules.CosineDecay(0.0, 40, alpha=0.1, warmup_target=0.2, warmup_steps=9),
    "restarts": schedules.CosineDecayRestarts(0.1, 10, t_mul=2.0, m_mul=0.5, alpha=0.1),
}


class Halved(schedules.LearningRateSchedule):
    """A schedule of a user's own, which may ask what it likes about its one step."""

    def __call__(self, step):
        return 0.1 if int(step) < 2 else 0.05

    def get_config(self):
        return {}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_of_schedules(name):
    schedule = SCHEDULES[name]
    optimizer = optimizers.SGD(schedule)
    rate = Rate(optimizer)
    steps = list(range(2 * AHEAD + 3))
    rates = []
    for step in steps:
        optimizer.iterations.assign(step)
        rates.append(rate.at(step, None))
    expected = [float(schedule(keras.ops.convert_to_tensor(step, "int32"))) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)
    assert len(set(rates)) > 1


def test_a_schedule_of_a_users_own_and_functions_as_rates():
    compare(plain(optimizers.SGD, Halved()), steps=4)
    compare(plain(optimizers.SGD, lambda: 0.02), steps=4)
    compare(plain(optimizers.AdamW, SCHEDULES["warm-up"]))


def test_a_schedule_that_is_changed_or_replaced_is_worked_out_anew():
    schedule = schedules.ExponentialDecay(0.1, 7, 0.5)
    optimizer = optimizers.SGD(schedule)
    rate = Rate(optimizer)
    assert rate.at(0, None) == pytest.approx(0.1)
    schedule.initial_learning_rate = 0.2
    assert rate.at(0, None) == pytest.approx(0.2)
    optimizer.learning_rate = schedules.ExponentialDecay(0.4, 7, 0.5)
    assert rate.at(0, None) == pytest.approx(0.4)
    with pytest.raises(TypeError, match="not settable"):
        rate.at(0, 0.5)


class OwnSgd(optimizers.SGD):
    """A subclass, which may do anything."""


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: optimizers.Nadam(0.1), "no kernel for this class"),
        (lambda: OwnSgd(0.1), "no kernel for this class"),
        (lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2), "accumulates"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.Adamax(0.1)), "no kernel"),
    ],
)
def test_what_is_left_to_keras_and_why(make, says):
    optimizer, weights = build(lambda _: make())
    with pytest.raises(NotNativeError, match=says):
        lower_update(optimizer, weights)


def test_a_replaced_method_and_odd_variables_are_left_to_keras():
    optimizer, weights = build(OPTIMIZERS["adam"])
    with pytest.raises(NotNativeError, match="other variables"):
        lower_update(optimizer, [keras.Variable([1.0])])
    object.__setattr__(optimizer, "apply", lambda *args: None)
    with pytest.raises(NotNativeError, match="apply was replaced"):
        lower_update(optimizer, weights)
    half = keras.Variable(np.ones(3), dtype="bfloat16")
    optimizer = optimizers.SGD(0.1)
    optimizer.build([half])
    with pytest.raises(NotNativeError, match="bfloat16"):
        lower_update(optimizer, [half])
