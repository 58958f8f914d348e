"""Learning rates against formulas at chosen updates, and what holds for every schedule."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.errors import InputError
from slipstream.ops.schedules import learning_rates, num_warmup_updates
from slipstream.plan.parts import Schedule

NAMES = [
    "constant",
    "cosine",
    "linear",
    "one_cycle",
    "exponential",
    "step_decay",
    "warm_restarts",
]

schedules = st.builds(
    Schedule,
    name=st.sampled_from(NAMES),
    peak=st.floats(1e-6, 10.0),
    warmup=st.one_of(st.just(0.0), st.floats(1e-4, 0.99)),
    floor=st.floats(0.0, 1.0),
    decay_rate=st.floats(1e-3, 1.0),
    decay_every=st.floats(0.01, 1.0),
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


@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle", "exponential"])
def test_no_jump_where_the_warmup_ends(name):
    got = rates(1000, name=name, peak=1.0, warmup=0.3)
    # 300 updates climb from 0 to 1; nothing may move faster than pi / 2 times that, and a bit.
    assert np.abs(np.diff(got)).max() < 0.01


@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle", "warm_restarts"])
def test_the_end_is_one_update_before_the_floor(name):
    got = rates(1000, name=name, peak=1.0, warmup=0.1, floor=0.25, cycles=1)
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
    got = learning_rates(schedule, total)
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
    if schedule.name != "constant":
        assert (after >= schedule.floor * schedule.peak * (1 - 1e-12)).all()


@given(schedule=schedules, total=lengths)
@settings(max_examples=50, deadline=None)
def test_the_climb_only_rises(schedule, total):
    climb = learning_rates(schedule, total)[: num_warmup_updates(schedule, total) + 1]
    assert (np.diff(climb) > 0).all()


def test_no_updates_are_refused():
    with pytest.raises(InputError, match="at least one optimizer update"):
        learning_rates(Schedule(), 0)
