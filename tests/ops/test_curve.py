"""Schedules looked at without a model: values, a line of blocks, a picture."""

import numpy as np
import pytest

from slipstream import Plan, schedule
from slipstream.errors import InputError, PlanError
from slipstream.ops.schedules import learning_rates
from slipstream.plan.parts import Schedule


def test_it_is_the_schedule_of_the_plan_with_what_is_changed():
    plan = Plan().edit({"schedule.name": "linear", "schedule.warmup": "2 epochs"})
    curve = schedule(plan, 100, updates_per_epoch=10, peak=0.5)
    same = learning_rates(Schedule(name="linear", peak=0.5, warmup=0.2), 100)
    np.testing.assert_allclose(curve.rates, same)
    assert curve.at(20) == 0.5
    assert [curve.at(update) for update in range(100)] == list(curve.rates)


def test_the_picture_has_every_update_and_tells_its_unit():
    by_update = schedule("step_decay", 200).plot()
    assert by_update.layout.xaxis.title.text == "update"
    # A staircase is drawn as one.
    assert by_update.data[0].line.shape == "hv"
    by_epoch = schedule("one_cycle", 200, updates_per_epoch=20).plot()
    assert by_epoch.layout.xaxis.title.text == "epoch"
    assert by_epoch.data[0].x[-1] == 199 / 20
    assert by_epoch.data[0].line.shape == "linear"
    assert len(by_epoch.data[0].y) == 200


def test_the_line_of_blocks_is_as_high_as_the_rate():
    text = schedule("piecewise_constant", 640, pieces="0.5: 0.5").text(64)
    assert text == "█" * 32 + "▄" * 32
    assert schedule("constant", 3).text() == "███"


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(InputError, match="from 0 to 9; got 10"):
        schedule("cosine", 10).at(10)
    with pytest.raises(PlanError, match="'cosin'"):
        schedule("cosin", 10)
    with pytest.raises(PlanError, match=r"schedule\.pek"):
        schedule("cosine", 10, pek=1.0)
