"""Techniques that somebody asks for, on trainings whose outcome is given by a formula."""

import math
from types import SimpleNamespace

import pytest
from tuning_help import record_of

from slipstream.commands._optimize_text import generalise_text
from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.tuning.asked import plans_with
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import Context, Deadline
from slipstream.tuning.generalise import generalise
from slipstream.tuning.learn import LearnResult
from strategies import facts

GIVEN = Plan().edit({"runtime.backend": "torch", "data.cache": "device"})
FACTS = facts(target=0.9, as_given=GIVEN, num_test=0, input_shapes={"x": (8,)})
IMAGES = facts(target=0.9, as_given=GIVEN)
BASELINES = Baselines(as_given=GIVEN, tuned=GIVEN, sweep=(), target=0.9, quality=0.9)
LEARNED = LearnResult(trials=(), ranges={}, plan=GIVEN, score=2.0, gap=0.0)


class Pool:
    """Stands for the workers: the nearer the radius to 0.1, and with Lookahead, the sooner."""

    def __init__(self):
        self.plans = []

    def get(self, backend):
        return self

    def train(self, request, on_event):
        self.plans.append(request.plan)
        optimizer = request.plan.optimizer
        seconds = 2.0 - 5.0 * optimizer.sam + (1.0 if optimizer.lookahead else 0.0)
        return SimpleNamespace(record=record_of(request.plan, 0.95, seconds))


def run(folder, asked, seconds=60.0, pool=None):
    context = Context(FACTS, folder, pool or Pool(), lambda _: None)
    return generalise(context, BASELINES, LEARNED, Deadline(seconds), asked)


def test_what_helps_is_kept_with_the_value_that_helps_most(tmp_path):
    pool = Pool()
    result = run(tmp_path, ("lookahead", "sam"), pool=pool)
    assert {plan.optimizer.sam for plan in pool.plans} == {0.0, 0.02, 0.05, 0.1}
    assert result.plan == GIVEN.edit({"optimizer.sam": 0.1})
    rows = {row.technique: row for row in result.rows}
    assert not rows["lookahead"].kept
    assert rows["sam"].kept
    assert rows["sam"].score == pytest.approx(1.5)
    assert rows["sam"].changes == {"optimizer.sam": 0.1}
    assert generalise_text(result).startswith("kept sam; ")


def test_what_cannot_be_tried_says_why(tmp_path):
    result = run(tmp_path, ("mixup", "flip", "lookahead"), seconds=-1.0)
    assert result.plan == GIVEN
    reasons = [row.reason for row in result.rows]
    assert "no input is an image" in reasons[1]
    assert reasons[2] == "no time was left"
    assert all(math.isinf(row.score) for row in result.rows)
    assert "lookahead was not tried: no time was left" in generalise_text(result)


def test_without_being_asked_a_plan_that_does_not_overfit_stays(tmp_path):
    pool = Pool()
    result = run(tmp_path, (), pool=pool)
    assert result.plan == GIVEN
    assert not pool.plans
    assert "no overfitting to mend" in generalise_text(result)


def test_what_the_host_alone_does_brings_the_examples_to_the_host():
    plans = plans_with("augmix", GIVEN, IMAGES)
    assert plans
    assert {plan.data.cache for plan in plans} == {"host"}
    assert {plan.data.cache for plan in plans_with("flip", GIVEN, IMAGES)} == {"device"}


def test_what_a_plan_holds_is_tried_with_other_values():
    sam = GIVEN.edit({"optimizer.sam": 0.05})
    assert {plan.optimizer.sam for plan in plans_with("sam", sam, FACTS)} == {0.02, 0.1}
    with pytest.raises(PlanError, match="schedule_free_adamw"):
        plans_with("cosine", GIVEN.edit({"optimizer.name": "schedule_free_adamw"}), FACTS)
