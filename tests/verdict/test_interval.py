"""The interval against SciPy's, and against its formula where pairing is credited in part."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from slipstream.verdict import paired_interval

values = st.floats(-100, 100)
sides = st.lists(st.tuples(values, values), min_size=2, max_size=8)


def credited_in_part(first, second):
    unpaired = np.var(first, ddof=1) + np.var(second, ddof=1)
    return np.var(first - second, ddof=1) < unpaired / 2


@settings(max_examples=60, deadline=None)
@given(pairs=sides, confidence=st.floats(0.5, 0.999))
def test_it_is_scipys_paired_interval_where_pairing_explains_less_than_half(pairs, confidence):
    first, second = np.array(pairs).T
    assume(np.std(first - second) > 1e-3 and not credited_in_part(first, second))
    expected = stats.ttest_rel(first, second).confidence_interval(confidence)
    ours = paired_interval(first, second, confidence=confidence)
    np.testing.assert_allclose((ours.low, ours.high), expected, rtol=1e-8, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(pairs=sides, shift=values)
def test_it_is_never_narrower_than_scipys(pairs, shift):
    base, noise = np.array(pairs).T
    first, second = base + 0.01 * noise, base + shift
    assume(np.std(first - second) > 1e-3)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    ours = paired_interval(first, second)
    assert ours.low <= expected.low + 1e-9 and ours.high >= expected.high - 1e-9
    assert ours.mean == pytest.approx(float(np.mean(first - second)), abs=1e-9)


def test_where_pairing_explains_all_half_of_the_variance_stays():
    side = np.array([1.0, 2.0, 3.0, 4.0])
    ours = paired_interval(side + 5, side)
    # Both sides have the variance 5/3; their sum's half is 5/3 again.
    half_width = stats.t.ppf(0.975, 3) * math.sqrt(5 / 3 / 4)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((5, 5 - half_width, 5 + half_width))


@pytest.mark.parametrize("count", [2, 7])
def test_several_comparisons_widen_it_by_bonferronis_rule(count):
    first, second = np.array([1.0, 4.0, 2.0, 9.0]), np.array([3.0, 1.0, 8.0, 2.0])
    expected = stats.ttest_rel(first, second).confidence_interval(1 - 0.05 / count)
    ours = paired_interval(first, second, num_comparisons=count)
    np.testing.assert_allclose((ours.low, ours.high), expected, rtol=1e-10)


def test_no_scatter_is_no_width():
    ours = paired_interval([3.0, 3.0, 3.0], [1.0, 1.0, 1.0])
    assert (ours.mean, ours.low, ours.high) == (2.0, 2.0, 2.0)


@settings(max_examples=40, deadline=None)
@given(pairs=sides)
def test_changing_sides_mirrors_it(pairs):
    first, second = np.array(pairs).T
    there, back = paired_interval(first, second), paired_interval(second, first)
    mirrored = (-back.mean, -back.high, -back.low)
    assert (there.mean, there.low, there.high) == pytest.approx(mirrored, abs=1e-9)
