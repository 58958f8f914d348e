"""The geometry of the small pictures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.report import Interval
from slipstream.report._charts import front
from slipstream.report._pictures import Scale, difference_scale, lanes, ratio_scale, share_bars

numbers = st.floats(allow_nan=False, allow_infinity=True)
ratios = st.floats(min_value=1e-6, max_value=1e6)


@given(st.lists(st.tuples(ratios, ratios, ratios), max_size=6), numbers)
@settings(max_examples=60, deadline=None)
def test_every_value_lies_inside_a_picture(triples, value):
    intervals = [Interval(middle, *sorted((one, other))) for middle, one, other in triples]
    for scale in (ratio_scale(intervals), difference_scale(intervals)):
        assert 0 <= scale.at(value) <= 100
        assert scale.reference == 50
        for interval in intervals:
            whisker = scale.whisker(interval)
            assert 0 <= whisker.low <= whisker.high <= 100


@given(ratios, ratios)
@settings(max_examples=60, deadline=None)
def test_more_lies_further_right_and_inverses_mirror(one, other):
    scale = Scale(1 / 32, 32.0, is_ratio=True)
    assert (scale.at(one) - scale.at(other)) * (one - other) >= 0
    assert scale.at(one) + scale.at(1 / one) == pytest.approx(100, abs=0.02)


def test_one_wild_interval_does_not_squeeze_the_others():
    calm = [Interval(1.3, 1.1, 1.5), Interval(0.8, 0.7, 0.9)]
    assert ratio_scale([*calm, Interval(1.2, 1e-4, math.inf)]) == ratio_scale(calm)


@pytest.mark.parametrize(
    ("interval", "standing"),
    [
        (Interval(2.0, 1.5, 2.5), "better"),
        (Interval(0.5, 0.4, 0.6), "worse"),
        (Interval(1.2, 0.9, 1.5), "open"),
        (Interval(1.2), "open"),
        (Interval(2.0, 1.5, math.inf), "better"),
    ],
)
def test_only_a_whole_interval_decides(interval, standing):
    assert ratio_scale([interval]).whisker(interval).standing == standing


def test_intervals_beyond_the_scale_are_marked_as_cut():
    whisker = Scale(0.5, 2.0, is_ratio=True).whisker(Interval(1.0, 0.1, math.inf))
    assert whisker.cut_low
    assert whisker.cut_high


def test_lanes_show_medians_and_those_that_never_came():
    first, second = lanes([(0, "slow", [10.0, math.inf, math.inf]), (2, "fast", [1.0, 5.0])])
    assert (first.bar, first.text, first.num_missing, len(first.dots)) == (None, "never", 2, 1)
    assert second.text == "3.0 s"
    assert second.bar == pytest.approx(0.3 * first.dots[0], abs=0.02)


def test_bars_of_nothing():
    assert share_bars([None, 0.0]) == [None, None]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1)), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_front_is_what_no_other_point_beats(points):
    kept = {tuple(point) for point in front(points, more_is_better=True)}
    beaten = {
        one
        for one in points
        for other in points
        if other != one and other[0] <= one[0] and other[1] >= one[1]
    }
    assert kept == set(points) - beaten
