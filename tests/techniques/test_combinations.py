"""Plans that techniques make of other plans: valid, written and read alike, taken apart again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawing import draw, names_keys
from slipstream.ablation import variants
from slipstream.errors import PlanError
from slipstream.plan import Plan, from_toml, to_toml
from slipstream.task import AS_GIVEN
from slipstream.techniques import apply_all, found_in, get_recipe, recipes, take_out
from strategies import facts, plans

CONDITIONS = {"seeds.seed", "duration.epochs", "duration.stop_at_target"} | {
    key for key in Plan().flat() if key.startswith(("monitoring.", "guard."))
}
KINDS = st.sampled_from(
    [
        facts(),
        facts(kind="regression", input_shapes={"x": (64,)}, layers={"Dense": 2}),
        facts(layers={"Conv2D": 2, "BatchNormalization": 2, "Dropout": 1, "Dense": 1}),
    ]
)
BASES = st.one_of(plans(), st.sampled_from([Plan(), AS_GIVEN]))
SEEDS = st.integers(0, 10**6)


@given(BASES, KINDS, SEEDS)
@settings(max_examples=80, deadline=None)
def test_what_techniques_make_is_valid_and_toml_keeps_it(base, task, seed):
    drawn = draw(random.Random(seed), base, task)
    assert Plan.from_dict(drawn.plan.to_dict()) == drawn.plan
    assert from_toml(to_toml(drawn.plan)) == drawn.plan
    for error, named in drawn.refused:
        assert all(name in str(error) for name in named), (named, str(error))
        assert names_keys(str(error)) or str(error).count("'") >= 4, str(error)


@given(BASES, KINDS, SEEDS)
@settings(max_examples=50, deadline=None)
def test_what_was_put_in_can_be_taken_out_until_the_baseline_is_back(base, task, seed):
    source = random.Random(seed)
    plan = draw(source, base, task).plan
    while found := found_in(plan, base):
        plan = take_out(source.choice(found), plan, base).plan
    assert not set(plan.difference(base)) - CONDITIONS


@given(BASES, KINDS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_every_variant_of_an_ablation_can_be_run(base, task, seed):
    plan = draw(random.Random(seed), base, task).plan
    for variant in variants(plan, base):
        assert variant.plan is not None, variant.failure
        assert variant.plan != (plan if variant.direction == "taken_out" else base)
        assert from_toml(to_toml(variant.plan)) == variant.plan


@pytest.mark.parametrize("recipe", [recipe.name for recipe in recipes()])
@given(plan=BASES, task=KINDS)
@settings(max_examples=10, deadline=None)
def test_a_recipe_makes_valid_plans_of_any(recipe, plan, task):
    try:
        made = get_recipe(recipe).apply(plan, task)
    except PlanError as error:
        assert names_keys(str(error)), str(error)
        return
    assert from_toml(to_toml(made)) == made


@given(KINDS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_all_at_once_is_the_same_as_one_after_the_other(task, seed):
    drawn = draw(random.Random(seed), AS_GIVEN, task)
    try:
        at_once = apply_all(reversed(drawn.names), AS_GIVEN, task)
    except PlanError:
        # One of them applied because of a value that another had drawn.
        return
    assert Plan.from_dict(at_once.to_dict()) == at_once
    assert apply_all(drawn.names, AS_GIVEN, task) == at_once
