"""Recipes hold on every kind of task, whatever the plan was."""

import pytest
from hypothesis import given, settings

from slipstream.errors import InputError
from slipstream.plan import Plan, all_keys
from slipstream.task import AS_GIVEN
from slipstream.tasks import resolve
from slipstream.techniques import (
    Recipe,
    case_of,
    case_recipes,
    found_in,
    get,
    get_recipe,
    recipes,
)
from strategies import facts, plans

ALL = (*recipes(), *case_recipes())
NAMES = [recipe.name for recipe in ALL]


FACTS = facts(layers={"Conv2D": 2, "Dense": 2})


def each(function):
    return pytest.mark.parametrize("recipe", ALL, ids=NAMES)(function)


def test_names_are_unique_and_found():
    assert len(set(NAMES)) == len(NAMES) == 9 + 5
    assert all(get_recipe(recipe.name) is recipe for recipe in ALL)
    with pytest.raises(InputError, match=r"'one_cycle'.*Did you mean '.*one_cycle'"):
        get_recipe("one_cycle")


@each
def test_a_recipe_names_one_optimizer_and_one_shape(recipe):
    sets = [get(name).one_of for name in recipe.techniques]
    assert sets.count("optimizer") == 1
    assert sets.count("schedule") == 1
    assert set(recipe.settings) <= set(all_keys())
    assert recipe.summary.endswith(".")


@each
def test_a_recipe_leaves_runtime_precision_and_length_alone(recipe):
    changed = set(recipe.apply(AS_GIVEN, FACTS).difference(AS_GIVEN))
    assert changed
    if "own_loop" in recipe.techniques:
        changed.remove("runtime.loop")
    assert {key.partition(".")[0] for key in changed} <= {
        "optimizer",
        "schedule",
        "clipping",
        "batch",
        "groups",
        "regularization",
        "architecture",
        "transfer",
    }


@each
@given(plan=plans())
@settings(max_examples=15, deadline=None)
def test_a_recipe_applies_to_every_plan_and_sets_learning_all_the_same(recipe, plan):
    made = recipe.apply(plan.adapt({"optimizer.ema": 0.0}), FACTS)
    for key, value in recipe.settings.items():
        if key != "schedule.peak":
            assert made.flat()[key] == value
    found = {
        technique.name
        for technique in found_in(
            made, Plan().edit({"optimizer.name": "rmsprop", "optimizer.rho": 0.123})
        )
    }
    assert get_optimizer(recipe) in found


def get_optimizer(recipe):
    return next(name for name in recipe.techniques if get(name).one_of == "optimizer")


def test_the_rate_of_a_recipe_is_for_32_examples_and_follows_the_batch():
    adam = get_recipe("plain_adam_larger_rate")
    assert adam.apply(Plan(), facts()).schedule.peak == pytest.approx(3e-3)
    large = Plan().edit({"batch.size": 64, "batch.accumulation": 2})
    assert adam.apply(large, facts()).schedule.peak == pytest.approx(6e-3)


def test_super_convergence_takes_a_larger_batch_where_there_are_examples_enough():
    recipe = get_recipe("super_convergence")
    many = recipe.apply(Plan(), facts(num_train=60_000))
    assert (many.batch.size, many.schedule.peak) == (128, pytest.approx(0.4))
    few = recipe.apply(Plan(), facts(num_train=200))
    assert (few.batch.size, few.schedule.peak) == (32, pytest.approx(0.1))


def test_a_recipe_of_ones_own():
    mine = Recipe("mine", "Mine", "Small steps.", ("clipping",), {"clipping.global_norm": 0.5})
    assert mine.apply(Plan(), facts()).difference(Plan()) == {"clipping.global_norm": (0.5, 0.0)}


@pytest.mark.parametrize(
    ("case", "shape", "layers", "kind"),
    [
        ("image_classification", (8, 8, 1), {"Conv2D": 2, "Dense": 1}, "classification"),
        ("recurrent", (40,), {"Embedding": 1, "GRU": 1, "Dense": 1}, "classification"),
        ("transformer", (40,), {"MultiHeadAttention": 2, "Dense": 4}, "classification"),
        ("transformer", (40, 3), {"MultiHeadAttention": 2, "LSTM": 1}, "regression"),
        ("tabular", (30,), {"Dense": 2}, "regression"),
        ("", (8, 8, 1), {"Conv2D": 2}, "regression"),
        ("", (16, 2), {"Conv1D": 2, "Dense": 1}, "classification"),
    ],
)
def test_the_case_of_a_task_is_told_from_its_layers(case, shape, layers, kind):
    found = case_of(facts(input_shapes={"x": shape}, layers=layers, kind=kind))
    assert (found.name if found else "") == case


def test_recipes_for_cases_are_measured_on_tasks_of_their_kind():
    for recipe in case_recipes():
        resolve(recipe.task)
    assert {recipe.task for recipe in recipes()} == {""}
