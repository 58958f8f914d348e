"""Curves as still pictures."""

from __future__ import annotations

import dataclasses
import re

from sample import record, small_sample

from slipstream.report import ReportInput, Side, render


def test_still_pictures_take_the_place_of_curves_that_can_be_zoomed_into():
    still = dataclasses.replace(small_sample(), still=True)
    page = render(still)
    assert '<section id="curves">' in page
    assert len(page) < 150_000
    runs = sum(len(side.records) for side in still.sides)
    metrics = len(still.sides[0].records[0].points[0].values)
    paths = re.findall(r'<path class="side-\d" d="M([^"]+)"', page)
    assert len(paths) == runs * metrics
    for path in paths:
        places = [tuple(map(float, place.split(","))) for place in path.split("L")]
        assert all(0 <= x <= 100 and 0 <= y <= 40 for x, y in places)
        assert places == sorted(places, key=lambda place: place[0])


def test_a_single_point_is_no_curve():
    side = Side(label="fit", role="run", records=(record(epochs=1),))
    assert '<section id="curves">' not in render(ReportInput(sides=(side,), still=True))
