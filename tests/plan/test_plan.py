"""A plan is a value: frozen, hashable, edited into new plans, refused when it is wrong."""

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from slipstream.errors import PlanError
from slipstream.plan import Plan, all_keys
from slipstream.plan.usual_words import USUAL_WORDS
from slipstream.task import AS_GIVEN
from strategies import plans


def test_plan_and_sections_are_frozen():
    plan = Plan()
    with pytest.raises(ValidationError, match="frozen"):
        plan.schedule = plan.schedule
    with pytest.raises(ValidationError, match="frozen"):
        plan.schedule.peak = 1.0


@given(plans())
@settings(max_examples=30, deadline=None)
def test_equal_plans_have_equal_hash_and_digest(plan):
    twin = Plan.from_dict(plan.to_dict())
    assert twin == plan
    assert hash(twin) == hash(plan)
    assert twin.digest() == plan.digest()
    other = plan.edit({"seeds.seed": (plan.seeds.seed + 1) % 2**31})
    assert other != plan
    assert other.digest() != plan.digest()


def test_the_digest_does_not_change_between_versions_by_accident():
    # Records of old runs are found by it. A new key of a plan changes it: then change it here.
    assert Plan().digest() == "7f5a13c1e4be"


def test_a_whole_number_and_its_float_are_the_same_plan():
    assert (
        Plan().edit({"schedule.peak": 1}).digest() == Plan().edit({"schedule.peak": 1.0}).digest()
    )


def test_edit_changes_what_it_names_and_nothing_else():
    plan = Plan().edit({"schedule.peak": 0.5, "batch.size": 7})
    assert plan.difference(Plan()) == {"schedule.peak": (0.5, 1e-3), "batch.size": (7, 32)}
    assert Plan() == Plan.from_dict({})


@given(plans(), plans())
@settings(max_examples=30, deadline=None)
def test_editing_by_the_difference_leads_from_one_plan_to_the_other(one, other):
    changes = {key: theirs for key, (_, theirs) in one.difference(other).items()}
    assert one.edit(changes) == other


def test_all_keys_are_those_of_a_plan_in_order():
    assert all_keys() == list(Plan().flat())
    assert len(all_keys()) == len(set(all_keys()))


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("schedule.peek", "schedule.peak"),
        ("optimiser.name", "optimizer.name"),
        ("batch_size", "batch.size"),
        ("runtime.steps_per_exec", "runtime.steps_per_execution"),
        ("lr", "schedule.peak"),
        ("learning_rate", "schedule.peak"),
        ("optimizer.learning_rate", "schedule.peak"),
        ("epochs", "duration.epochs"),
        ("fp16", "precision.policy"),
        ("optimizer", "optimizer.name"),
        ("optimzer", "optimizer.name"),
        ("seed", "seeds.seed"),
    ],
)
def test_edit_refuses_unknown_keys_with_the_nearest(key, nearest):
    with pytest.raises(PlanError, match=f"'{key}'.*Did you mean '{nearest}'"):
        Plan().edit({key: 1})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("optimizer.name", "Adam", "'adam'"),
        ("optimizer.momentum", 1.0, "less than 1"),
        ("optimizer.beta_2", float("nan"), "less than 1"),
        ("schedule.peak", 0.0, "greater than 0"),
        ("schedule.peak", float("inf"), "finite"),
        ("schedule.warmup", 1.0, "less than 1"),
        ("batch.size", 0, "greater than or equal to 1"),
        ("batch.size", 1.5, "integer"),
        ("batch.size", True, "number or a word"),
        ("schedule.peak", True, "number or a word"),
        ("regularization.l2", -1e-4, "greater than or equal to 0"),
        ("regularization.l2", float("nan"), "finite"),
        ("regularization.dropout", "none", "number"),
        ("regularization.dropout", 1.0, "less than 1"),
        ("runtime.backend", "mxnet", "'jax'"),
        ("groups.pattern", "a\udcff", "text that a file can hold"),
        ("seeds.seed", 2**31, "less than"),
    ],
)
def test_values_out_of_range_are_refused_with_key_and_value(key, value, says):
    with pytest.raises(PlanError) as caught:
        Plan().edit({key: value})
    assert f"'{key}'" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_key_that_is_unknown_is_told():
    with pytest.raises(PlanError) as caught:
        Plan().edit({"lr": 1, "batch.size": 3, "epochs": 2, **{f"wrong{n}.x": 1 for n in range(5)}})
    told = str(caught.value)
    assert "got 'lr'. Did you mean 'schedule.peak'?" in told
    assert "6 more problems were found:" in told and "- and 2 more." in told
    assert "got 'epochs'. Did you mean 'duration.epochs'?" in told
    assert "batch.size" not in told


def test_usual_words_stand_for_keys_that_there_are_and_each_for_one():
    words = [word for words in USUAL_WORDS.values() for word in words.split()]
    assert set(USUAL_WORDS) <= set(all_keys())
    assert len(words) == len(set(words))
    assert not set(words) & (set(all_keys()) | set(Plan.model_fields))


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("schedule.name", "cosin", "cosine"),
        ("optimizer.name", "AdamW", "adamw"),
        ("runtime.backend", "pytorch", "torch"),
        ("regularization.dropout", "model", "as_model"),
    ],
)
def test_misspelt_words_are_refused_with_the_nearest(key, value, meant):
    with pytest.raises(PlanError, match=f"'{value}'.*Did you mean '{meant}'"):
        Plan().edit({key: value})


def test_the_plan_of_a_task_as_given_agrees_with_itself():
    assert Plan.from_dict(AS_GIVEN.to_dict()) == AS_GIVEN
    assert AS_GIVEN.runtime.loop == "keras"
