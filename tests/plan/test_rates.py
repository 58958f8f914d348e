"""A rate that follows the batch: by hand, and through everything that asks for a plan's rates."""

import math

import pytest

from slipstream.ops.curve import schedule
from slipstream.plan import Plan
from slipstream.plan.rates import rate_factor, written_out
from slipstream.techniques import get, put_in, take_out
from slipstream.techniques._base import scaled_peak
from strategies import facts

LARGE = {"batch.size": 64, "batch.accumulation": 4, "batch.rate_base": 16}


@pytest.mark.parametrize(("rule", "factor"), [("linear", 16.0), ("sqrt", 4.0)])
def test_rates_are_multiplied_by_the_batch_or_its_root(rule, factor):
    plan = Plan().edit({**LARGE, "batch.rate_scaling": rule, "schedule.name": "linear"})
    assert rate_factor(plan) == factor
    assert schedule(plan, 10).at(0) == pytest.approx(plan.schedule.peak * factor)
    plain = written_out(plan)
    assert plain.schedule.peak == pytest.approx(plan.schedule.peak * factor)
    assert (plain.batch.rate_scaling, plain.batch.rate_base) == ("none", 32)
    assert schedule(plain, 10).rates.tolist() == schedule(plan, 10).rates.tolist()


def test_a_plain_rate_stays():
    assert written_out(Plan()) is not None and rate_factor(Plan()) == 1.0
    assert written_out(Plan()) == Plan()


@pytest.mark.parametrize(
    ("name", "power"), [("linear_rate_scaling", 1), ("sqrt_rate_scaling", 0.5)]
)
def test_a_technique_keeps_the_rate_and_lets_it_follow_the_next_batch(name, power):
    before = Plan().edit({"batch.size": 64})
    plan = get(name).apply(before, facts())
    assert rate_factor(plan) == 1.0
    larger = get("batch_size").apply(plan, facts(num_train=60_000))
    ratio = larger.batch.size / 64
    assert ratio > 1 and larger.schedule.peak == plan.schedule.peak
    assert rate_factor(larger) == pytest.approx(math.pow(ratio, power))
    assert scaled_peak(plan, larger) == {}
    # It is told apart, and can be taken out and put in.
    assert take_out(get(name), plan, before).plan == before
    assert put_in(get(name), plan, before).plan == plan
