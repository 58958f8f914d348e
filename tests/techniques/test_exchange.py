"""Taking techniques out of a plan and putting them onto a baseline."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.task import AS_GIVEN
from slipstream.techniques import found_in, get, put_in, take_out
from slipstream.techniques._base import examples_per_update
from strategies import plans

MONITORING = {key for key in Plan().flat() if key.startswith(("monitoring.", "guard."))}
CONDITIONS = {"seeds.seed", "duration.epochs", "duration.stop_at_target"} | MONITORING


def differing(plan, baseline):
    return set(plan.difference(baseline)) - CONDITIONS


@given(plans(), plans())
@settings(max_examples=100, deadline=None)
def test_every_difference_belongs_to_exactly_one_technique(plan, baseline):
    found = found_in(plan, baseline)
    for key in differing(plan, baseline):
        owners = [technique.name for technique in found if key in technique.moved]
        assert len(owners) == 1, (key, owners)


@given(plans(), plans(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_taking_out_all_leads_back_to_the_baseline_in_any_order(plan, baseline, random):
    while found := found_in(plan, baseline):
        before = differing(plan, baseline)
        plan = take_out(random.choice(found), plan, baseline).plan
        assert Plan.from_dict(plan.to_dict()) == plan
        assert differing(plan, baseline) < before
    assert not differing(plan, baseline)


@given(plans(), plans())
@settings(max_examples=40, deadline=None)
def test_what_goes_together_is_told_and_nothing_else_moves(plan, baseline):
    for technique in found_in(plan, baseline):
        for move, start, end in ((take_out, plan, baseline), (put_in, baseline, plan)):
            moved = move(technique, plan, baseline)
            assert moved.together[0] == technique.name
            assert len(set(moved.together)) == len(moved.together)
            assert set(moved.together) <= {t.name for t in found_in(plan, baseline)}
            keys = {key for name in moved.together for key in get(name).moved}
            values, theirs = moved.plan.flat(), end.flat()
            assert all(values[key] == theirs[key] for key in keys)
            others = set(moved.plan.difference(start)) - keys
            assert others <= {"schedule.peak"} | MONITORING


@given(plans(), plans())
@settings(max_examples=30, deadline=None)
def test_no_smaller_group_would_agree(plan, baseline):
    found = found_in(plan, baseline)
    for technique in found:
        together = take_out(technique, plan, baseline).together
        others = [other for other in found if other != technique]
        for size in range(min(len(together) - 1, 3)):
            for further in combinations(others, size):
                assert not agrees(plan, baseline, (technique, *further))
        assert agrees(plan, baseline, [get(name) for name in together])


def agrees(plan, baseline, group):
    theirs, unlooked = baseline.flat(), {key: Plan().flat()[key] for key in MONITORING}
    try:
        plan.edit({key: theirs[key] for technique in group for key in technique.moved} | unlooked)
    except PlanError:
        return False
    return True


def test_a_technique_in_which_the_plans_agree_cannot_be_moved():
    plan = Plan().edit({"schedule.warmup": 0.1})
    for move in (take_out, put_in):
        with pytest.raises(PlanError, match=r"'cosine'.*Choose from: warmup"):
            move(get("cosine"), plan, Plan())
        with pytest.raises(PlanError, match="none, the plans are equal"):
            move(get("cosine"), plan, plan)


def test_compilation_goes_with_the_backend_that_it_needs():
    winner = Plan().edit({"runtime.backend": "tensorflow", "runtime.jit": "off"})
    jax = Plan().edit({"runtime.backend": "jax"})
    out = take_out(get("backend"), winner, jax)
    assert out.together == ("backend", "jit")
    assert (out.plan.runtime.backend, out.plan.runtime.jit) == ("jax", "auto")
    assert take_out(get("jit"), winner, jax).together == ("jit",)
    assert put_in(get("jit"), winner, jax).together == ("jit", "backend")


def test_a_graph_rewrite_takes_backend_and_compilation_along():
    winner = Plan().edit({"precision.policy": "graph_bfloat16", "runtime.jit": "off"})
    torch = AS_GIVEN.edit({"runtime.backend": "torch"})
    alone = put_in(get("graph_bfloat16"), winner, torch)
    assert set(alone.together) == {"graph_bfloat16", "backend", "jit"}
    assert alone.plan.runtime.loop == "keras"
    assert set(take_out(get("backend"), winner, torch).together) == {"backend", "graph_bfloat16"}


def test_native_kernels_are_told_from_the_backend_and_the_loop_that_they_need():
    torch = {"runtime.backend": "torch", "runtime.loop": "slipstream", "runtime.lowering": True}
    winner = AS_GIVEN.edit(torch)
    found = {technique.name for technique in found_in(winner, AS_GIVEN)}
    assert found == {"backend", "own_loop", "native_kernels"}
    out = take_out(get("native_kernels"), winner, AS_GIVEN)
    assert out.together == ("native_kernels",)
    assert out.plan == winner.edit({"runtime.lowering": False})


def test_all_that_needs_the_own_loop_goes_with_it():
    winner = Plan().edit(
        {
            "batch.accumulation": 2,
            "batch.remainder": "drop",
            "data.cache": "device",
            "duration.evaluations_per_epoch": 3,
            "schedule.warmup": 0.1,
        }
    )
    out = take_out(get("own_loop"), winner, AS_GIVEN)
    assert set(out.together) == {
        "own_loop",
        "accumulation",
        "drop_remainder",
        "device_cache",
        "more_frequent_validation",
    }
    assert out.plan.schedule.warmup == 0.1
    assert put_in(get("own_loop"), winner, AS_GIVEN).together == ("own_loop",)


def test_schedule_free_and_its_constant_rate_go_together_only_where_they_must():
    free = Plan().edit({"optimizer.name": "schedule_free_adamw", "schedule.peak": 0.01})
    cosine = Plan().edit({"schedule.name": "cosine"})
    assert take_out(get("schedule_free_adamw"), free, cosine).together == ("schedule_free_adamw",)
    assert take_out(get("constant"), free, cosine).together == ("constant", "schedule_free_adamw")


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 16), ("adam", 4)])
def test_the_rate_follows_the_batch_when_the_batch_alone_is_moved(optimizer, factor):
    plain = Plan().edit({"optimizer.name": optimizer})
    winner = plain.edit({"batch.size": 128, "batch.accumulation": 4, "schedule.peak": 0.08})
    out = take_out(get("batch_size"), winner, plain).plan
    assert examples_per_update(out) == 128
    assert out.schedule.peak == pytest.approx(0.08 / factor**0.5)
    both = take_out(get("accumulation"), out, plain).plan
    assert examples_per_update(both) == 32
    assert both.schedule.peak == pytest.approx(0.08 / factor)
    alone = put_in(get("batch_size"), winner, plain).plan
    assert alone.schedule.peak == pytest.approx(1e-3 * factor**0.5)


def test_a_rate_that_both_plans_share_stays_when_the_batch_is_moved():
    winner = Plan().edit({"batch.size": 128})
    assert take_out(get("batch_size"), winner, Plan()).plan == Plan()
    assert put_in(get("batch_size"), winner, Plan()).plan == winner
