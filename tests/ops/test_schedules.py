"""Learning rates against formulas at chosen updates, and what holds for every schedule."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.errors import InputError, PlanError
from slipstream.ops.schedules import learning_rates, momenta, num_warmup_updates
from slipstream.plan import Plan
from slipstream.plan.parts import Schedule, ScheduleName
from slipstream.plan.toml import from_toml, to_toml

NAMES = list(get_args(ScheduleName))

schedules = st.builds(
    Schedule,
    name=st.sampled_from(NAMES),
    peak=st.floats(1e-6, 10.0),
    warmup=st.one_of(st.just(0.0), st.floats(1e-4, 0.99)),
    floor=st.floats(0.0, 1.0),
    decay_rate=st.floats(1e-3, 1.0),
    decay_every=st.one_of(st.floats(0.01, 1.0), st.sampled_from(("7 steps", "1.5 epochs"))),
    staircase=st.booleans(),
    power=st.floats(0.1, 5.0),
    decay_last=st.floats(0.01, 1.0),
    decay_shape=st.sampled_from(("linear", "sqrt")),
    pieces=st.sampled_from(("0.99: 0.5", "0.995: 0.1, 0.999: 0.01")),
    cycles=st.integers(1, 20),
)
lengths = st.one_of(st.integers(1, 3), st.integers(4, 3000))


def rates(total, **keys):
    return learning_rates(Schedule(**keys), total)


def test_constant_is_the_peak_everywhere():
    assert rates(7, name="constant", peak=0.3).tolist() == [0.3] * 7


def test_linear_warmup_climbs_in_equal_steps_and_then_holds():
    got = rates(100, name="constant", peak=1.0, warmup=0.1)
    np.testing.assert_allclose(got[:10], np.arange(1, 11) / 11)
    np.testing.assert_array_equal(got[10:], 1.0)


def test_cosine_quarter_half_and_three_quarters():
    got = rates(100, name="cosine", peak=2.0, floor=0.1)
    np.testing.assert_allclose(got[0], 2.0)
    np.testing.assert_allclose(got[25], 2 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2))
    np.testing.assert_allclose(got[50], 2 * 0.55)
    np.testing.assert_allclose(got[75], 2 * (0.1 + 0.9 * (1 - math.sqrt(0.5)) / 2))


def test_cosine_after_warmup_counts_what_is_left():
    got = rates(100, name="cosine", peak=1.0, warmup=0.2)
    assert got[20] == 1.0
    np.testing.assert_allclose(got[60], 0.5, atol=1e-12)


def test_linear_falls_by_the_same_amount_each_update():
    got = rates(50, name="linear", peak=1.0, floor=0.5)
    np.testing.assert_allclose(got, 1 - 0.5 * np.arange(50) / 50)


def test_one_cycle_starts_at_a_25th_and_peaks_where_its_rise_ends():
    got = rates(100, name="one_cycle", peak=5.0, warmup=0.3)
    np.testing.assert_allclose(got[0], 0.2)
    np.testing.assert_allclose(got[15], 0.2 + 4.8 / 2)
    assert np.argmax(got) == 30
    np.testing.assert_allclose(got[65], 2.5)


def test_exponential_is_multiplied_by_the_rate_every_stretch():
    got = rates(100, name="exponential", peak=1.0, decay_rate=0.5, decay_every=0.1)
    np.testing.assert_allclose(got[[0, 5, 10, 20, 90]], [1, 0.5**0.5, 0.5, 0.25, 0.5**9])


def test_exponential_stretches_are_of_the_whole_run_also_after_a_warmup():
    got = rates(100, name="exponential", peak=1.0, warmup=0.2, decay_rate=0.5, decay_every=0.1)
    np.testing.assert_allclose(got[[20, 30, 40]], [1, 0.5, 0.25])


def test_step_decay_is_a_staircase_without_rounding_slips():
    got = rates(100, name="step_decay", peak=1.0, decay_rate=0.1, decay_every=0.3)
    np.testing.assert_allclose(got[:30], 1.0)
    np.testing.assert_allclose(got[30:60], 0.1)
    np.testing.assert_allclose(got[60:90], 0.01)
    np.testing.assert_allclose(got[90:], 0.001)


@pytest.mark.parametrize("name", ["exponential", "step_decay"])
def test_decays_stop_at_the_floor(name):
    got = rates(100, name=name, peak=2.0, decay_rate=0.1, decay_every=0.1, floor=0.05)
    assert got.min() == pytest.approx(0.1)
    assert got[-1] == pytest.approx(0.1)


def test_warm_restarts_come_back_to_the_peak_in_every_cycle():
    got = rates(99, name="warm_restarts", peak=1.0, cycles=3)
    np.testing.assert_allclose(got[[0, 33, 66]], 1.0)
    np.testing.assert_allclose(got[:33], got[33:66], atol=1e-9)
    np.testing.assert_allclose(got[:33], (1 + np.cos(np.pi * np.arange(33) / 33)) / 2, atol=1e-9)


def test_polynomial_is_a_power_of_what_is_left():
    got = rates(100, name="polynomial", peak=2.0, floor=0.1, power=3.0, warmup=0.2)
    np.testing.assert_allclose(got[20:], 2 * (0.1 + 0.9 * (1 - np.arange(80) / 80) ** 3))
    straight = rates(60, name="polynomial", peak=1.0, power=1.0, floor=0.3)
    np.testing.assert_allclose(straight, rates(60, name="linear", peak=1.0, floor=0.3))


def test_inverse_time_is_down_to_its_rate_after_one_stretch():
    got = rates(100, name="inverse_time", peak=1.0, decay_rate=0.5, decay_every=0.1)
    np.testing.assert_allclose(got, 1 / (1 + np.arange(100) / 10))
    assert rates(100, name="inverse_time", peak=1.0, floor=0.4)[-1] == 0.4


@pytest.mark.parametrize(("name", "left"), [("exponential", 0.5**3), ("inverse_time", 1 / 4)])
def test_staircases_are_level_and_meet_the_smooth_curve_at_each_step(name, left):
    keys = {"name": name, "peak": 1.0, "decay_rate": 0.5, "decay_every": 0.2}
    stairs, smooth = rates(100, **keys, staircase=True), rates(100, **keys)
    np.testing.assert_allclose(stairs[::20], smooth[::20])
    np.testing.assert_allclose(stairs, np.repeat(stairs[::20], 20))
    assert stairs[60] == pytest.approx(left)
    if name == "exponential":
        np.testing.assert_array_equal(stairs, rates(100, **{**keys, "name": "step_decay"}))


def test_piecewise_constant_jumps_where_its_pieces_begin():
    got = rates(100, name="piecewise_constant", peak=2.0, pieces="0.3: 0.5, 0.7: 0.1")
    np.testing.assert_allclose(got, np.repeat([2.0, 1.0, 0.2], [30, 40, 30]))
    warm = rates(100, name="piecewise_constant", peak=2.0, warmup=0.1, pieces="0.3: 0.5, 0.7: 0.1")
    np.testing.assert_allclose(warm[10:], got[10:])


@pytest.mark.parametrize(("shape", "power"), [("linear", 1.0), ("sqrt", 0.5)])
def test_warmup_stable_decay_is_level_up_to_its_last_part(shape, power):
    keys = {"decay_last": 0.3, "decay_shape": shape, "floor": 0.2, "warmup": 0.1}
    got = rates(100, name="warmup_stable_decay", peak=2.0, **keys)
    np.testing.assert_allclose(got[:10], 2 * np.arange(1, 11) / 11)
    np.testing.assert_allclose(got[10:70], 2.0)
    np.testing.assert_allclose(got[70:], 2 * (1 - 0.8 * (np.arange(30) / 30) ** power), rtol=1e-6)


def test_what_comes_before_the_decay_is_the_same_for_any_length_of_the_run():
    keys = {"name": "warmup_stable_decay", "warmup": "20 steps", "decay_last": "30 steps"}
    short, long = rates(100, **keys), rates(300, **keys)
    np.testing.assert_array_equal(short[:70], long[:70])
    np.testing.assert_allclose(short[70:], long[270:], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "piecewise_constant"])
def test_lengths_in_steps_epochs_and_fractions_mean_the_same(name):
    def all_lengths(warmup, every, last):
        lengths = {"warmup": warmup, "decay_every": every, "decay_last": last}
        return learning_rates(Schedule(name=name, peak=1.0, **lengths), 200, updates_per_epoch=20)

    fractions = all_lengths(0.1, 0.2, 0.3)
    np.testing.assert_allclose(all_lengths("20 steps", "40 steps", "60 steps"), fractions)
    np.testing.assert_allclose(all_lengths("1 epoch", "2 epochs", "3.0 epochs"), fractions)


def test_pieces_in_steps_and_epochs():
    keys = {"name": "piecewise_constant", "peak": 1.0}
    mixed = Schedule(**keys, pieces="50 steps: 0.5, 7 epochs: 0.1")
    same = Schedule(**keys, pieces="0.25: 0.5, 0.7: 0.1")
    np.testing.assert_array_equal(learning_rates(mixed, 200, 20), learning_rates(same, 200, 20))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"warmup": "2 epochs"}, r"updates per epoch.*schedule\.warmup = '2 epochs'"),
        ({"warmup": "100 steps"}, "warmup shorter than the run of 100"),
        ({"name": "warmup_stable_decay", "decay_last": "101 steps"}, "decay_last within the run"),
        ({"name": "piecewise_constant", "pieces": "0.7: 0.5, 0.3: 0.1"}, "order of their starts"),
        (
            {"name": "piecewise_constant", "pieces": "0.3: 0.1", "warmup": 0.5},
            "after the warm-up.*warmup = 0.5",
        ),
    ],
)
def test_lengths_that_do_not_fit_into_the_run_are_refused(keys, says):
    with pytest.raises(PlanError, match=says):
        rates(100, **keys)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("warmup", "5"),
        ("warmup", "0 steps"),
        ("warmup", "1.5 steps"),
        ("warmup", "-1 epochs"),
        ("warmup", "2 weeks"),
        ("decay_every", "every epoch"),
        ("decay_last", 1.5),
        ("pieces", "0.5"),
        ("pieces", "0.5: 2.0"),
        ("pieces", "1.5: 0.1"),
        ("pieces", 0.5),
    ],
)
def test_what_is_no_length_is_refused_with_its_key(key, value):
    with pytest.raises(PlanError, match=rf"'schedule\.{key}'"):
        Plan().edit({f"schedule.{key}": value})


def test_lengths_are_spelt_in_one_way_so_that_equal_plans_are_equal():
    plan = Plan().edit({"schedule.name": "piecewise_constant"})
    one = plan.edit({"schedule.warmup": "2 epochs", "schedule.pieces": "0.5:0.1,9 Epoch: 1e-2"})
    other = plan.edit(
        {"schedule.warmup": " 2.0 EPOCH", "schedule.pieces": "0.50: 0.10, 9 epochs: 0.01"}
    )
    assert one == other
    assert one.digest() == other.digest()
    assert from_toml(to_toml(one)) == one


def test_momentum_is_lowest_where_the_rate_is_highest():
    cycle = Schedule(name="one_cycle", peak=1.0, warmup=0.3, momentum_low=0.8)
    got = momenta(cycle, 0.95, 100)
    rate = learning_rates(cycle, 100)
    assert got[0] == pytest.approx(0.95)
    assert got[30] == pytest.approx(0.8)
    assert got.argmin() == rate.argmax()
    np.testing.assert_allclose(got[15], 0.875)
    np.testing.assert_allclose(got[65], 0.875)
    assert 0.9499 < got[-1] < 0.95
    # It rises where the rate falls, and the other way round.
    assert (np.sign(np.diff(got)) == -np.sign(np.diff(rate))).all()


@pytest.mark.parametrize(
    "name",
    ["cosine", "linear", "one_cycle", "exponential", "polynomial", "warmup_stable_decay"],
)
def test_no_jump_where_the_warmup_ends(name):
    got = rates(1000, name=name, peak=1.0, warmup=0.3)
    # 300 updates climb from 0 to 1; nothing may move faster than pi / 2 times that, and a bit.
    assert np.abs(np.diff(got)).max() < 0.01


@pytest.mark.parametrize(
    "name",
    ["cosine", "linear", "one_cycle", "warm_restarts", "polynomial", "warmup_stable_decay"],
)
def test_the_end_is_one_update_before_the_floor(name):
    shape = {"cycles": 1, "power": 1.0, "decay_last": 1.0}
    got = rates(1000, name=name, peak=1.0, warmup=0.1, floor=0.25, **shape)
    assert 0.25 < got[-1] < 0.2525


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("total", [1, 2, 3])
def test_tiny_runs_reach_the_peak_and_never_stand_still(name, total):
    got = rates(total, name=name, peak=0.5, warmup=0.3)
    assert got.max() == 0.5
    assert (got > 0).all()


@given(schedule=schedules, total=lengths)
@settings(max_examples=150, deadline=None)
def test_bounds_for_every_schedule(schedule, total):
    got = learning_rates(schedule, total, updates_per_epoch=10)
    assert got.shape == (total,)
    assert got.dtype == np.float64
    assert np.isfinite(got).all()
    assert got[0] > 0
    assert (got >= 0).all()
    assert (got <= schedule.peak).all()
    assert got.max() == schedule.peak
    after = got[num_warmup_updates(schedule, total) :]
    if schedule.name not in ("constant", "warm_restarts"):
        assert (np.diff(after) <= 1e-12 * schedule.peak).all()
    if schedule.name not in ("constant", "piecewise_constant"):
        assert (after >= schedule.floor * schedule.peak * (1 - 1e-12)).all()


@given(schedule=schedules, total=lengths)
@settings(max_examples=50, deadline=None)
def test_the_climb_only_rises(schedule, total):
    climb = learning_rates(schedule, total, updates_per_epoch=10)[
        : num_warmup_updates(schedule, total) + 1
    ]
    assert (np.diff(climb) > 0).all()


def test_no_updates_are_refused():
    with pytest.raises(InputError, match="at least one optimizer update"):
        learning_rates(Schedule(), 0)
