"""Which runtimes are proposed: pure functions of the task, the plan and what is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.plan import Plan
from slipstream.task import AS_GIVEN
from slipstream.tuning.runtime_candidates import Space, even_steps
from strategies import facts

ALL = ("tensorflow", "jax", "torch")
SMALL = {"layers": {"Dense": 2}, "multiply_adds": 5_000, "input_shapes": {"x": (64,)}}
IMAGES = {"layers": {"Conv2D": 9}, "multiply_adds": 37_000_000, "input_shapes": {"x": (28, 28, 1)}}


def make_facts(**changes):
    sizes = {"target": None, "num_train": 1100, "num_validation": 300, "num_test": 0}
    return facts(**{**sizes, **SMALL, **changes})


def make_space(of=None, base=AS_GIVEN, backends=ALL, allow_precision=True):
    return Space(of or make_facts(), base, backends, allow_precision=allow_precision)


def test_every_backend_comes_first_once_and_then_the_plan_as_it_is():
    first = make_space().first()
    assert [c.options.backend for c in first] == ["jax", "tensorflow", "torch", "tensorflow"]
    as_given = first[-1].plan
    assert as_given.difference(AS_GIVEN) == {"runtime.loop": ("slipstream", "keras")}


def test_small_dense_nets_begin_with_many_steps_and_convolutions_on_jax_with_one():
    small = {c.options.backend: c.plan for c in make_space().first()[:3]}
    assert small["jax"].runtime.steps_per_execution == 34
    images = {c.options.backend: c.plan for c in make_space(make_facts(**IMAGES)).first()[:3]}
    assert images["jax"].runtime.steps_per_execution == 1
    assert images["tensorflow"].runtime.jit == "off"


def test_a_backend_that_is_not_offered_is_not_tried():
    assert {c.options.backend for c in make_space(backends=("torch",)).first()} == {"torch"}


@pytest.mark.parametrize(
    ("num_train", "accumulation", "sizes"),
    [(10_000, 1, (32, 64, 128, 256)), (1100, 1, (32, 64, 128)), (1100, 4, (32,)), (40, 1, (32,))],
)
def test_batches_stay_below_an_eighth_of_the_training_set(num_train, accumulation, sizes):
    base = Plan().edit({"batch.accumulation": accumulation})
    assert make_space(make_facts(num_train=num_train), base).batch_sizes() == sizes


def walk(space):
    """Follow every proposal, as if all were equally fast; returns all candidates."""
    seen = list(space.first())
    while proposals := space.next_candidates(dict.fromkeys(seen, 1.0), seen):
        seen.append(proposals[0])
    return seen


@pytest.mark.parametrize("kind", [SMALL, IMAGES])
def test_proposals_end_are_distinct_and_change_the_runtime_alone(kind):
    seen = walk(make_space(make_facts(**kind)))
    plans = [candidate.plan for candidate in seen]
    assert len(plans) == len(set(plans)) > 20
    keys = {key for plan in plans for key in plan.difference(AS_GIVEN)}
    assert keys <= {
        "runtime.backend",
        "runtime.jit",
        "runtime.steps_per_execution",
        "runtime.loop",
        "runtime.lowering",
        "precision.policy",
        "data.cache",
        "batch.size",
    }
    assert all(p.runtime.lowering == (p.runtime.backend == "torch") for p in plans)
    policies = {(p.runtime.backend, p.precision.policy) for p in plans}
    assert ("tensorflow", "graph_bfloat16") in policies and (
        "jax",
        "graph_bfloat16",
    ) not in policies


def test_precision_is_left_alone_unless_allowed():
    seen = walk(make_space(allow_precision=False))
    assert {candidate.plan.precision.policy for candidate in seen} == {"float32"}


def test_augmentation_keeps_the_data_on_the_host():
    base = Plan().edit({"augmentation.rand_ops": 1})
    seen = walk(make_space(make_facts(**IMAGES), base))
    assert {candidate.plan.data.cache for candidate in seen} == {"host"}


def test_a_slow_backend_is_not_varied_further():
    space = make_space()
    first = space.first()
    seconds = {"jax": 1.0, "tensorflow": 2.0, "torch": 10.0}
    projected = {c: seconds[c.options.backend] for c in first}
    proposals = space.next_candidates(projected, first)
    assert proposals[0].options.backend == "jax"
    assert {c.options.backend for c in proposals} == {"jax", "tensorflow"}


@pytest.mark.parametrize("net", [IMAGES, {"layers": {"LSTM": 2, "Dense": 1}}])
def test_fewer_bits_come_next_where_a_step_is_mostly_arithmetic(net):
    space = make_space(make_facts(**net))
    first = space.first()
    seconds = {"jax": 9.0, "tensorflow": 2.0, "torch": 1.0}
    projected = {c: seconds[c.options.backend] for c in first}
    following = space.next_candidates(projected, first)[0].options
    assert (following.backend, following.policy) == ("torch", "mixed_bfloat16")
    assert following.batch_size == first[0].options.batch_size


def test_what_failed_is_neither_varied_nor_tried_again():
    space = make_space()
    first = space.first()
    proposals = space.next_candidates({first[1]: 1.0}, first)
    assert {c.options.backend for c in proposals} == {"tensorflow"}
    assert not {c.plan for c in proposals} & {c.plan for c in first}


@settings(max_examples=50)
@given(st.integers(1, 5000), st.integers(1, 64))
def test_steps_cut_an_epoch_into_almost_equal_calls(updates, wished):
    steps = even_steps(updates, wished)
    assert 1 <= steps <= max(updates, 1)
    if wished > 1:
        calls = -(-updates // steps)
        assert calls * steps - updates < calls
        assert steps <= 1.5 * wished + 1
