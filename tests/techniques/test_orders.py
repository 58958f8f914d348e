"""Pairs of techniques: who comes after whom, and who loses by whom, is declared."""

from itertools import combinations

import pytest

from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.plan.clashes import CLASHES
from slipstream.plan.uses import UNUSED
from slipstream.techniques import all_techniques
from slipstream.techniques._registry import clash_between
from strategies import facts

ALL = all_techniques()
LAYERS = {"Conv2D": 3, "BatchNormalization": 3, "Dense": 2, "Add": 1, "LSTM": 2}
IMAGES = facts(num_train=100_000, input_shapes={"x": (28, 28, 1)}, layers=LAYERS)
FILES = facts(num_train=100_000, input_shapes={"x": (28, 28, 1)}, layers=LAYERS, streamed=True)
RICH = {
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "regularization.l2": 1e-4,
    "groups.pattern": "x",
    "schedule.name": "one_cycle",
    "schedule.warmup": 0.3,
    "precision.policy": "mixed_float16",
}
TOGETHER = {
    frozenset((one, other))
    for clash in (*CLASHES, *UNUSED)
    for one in clash.keys
    for other in clash.keys
}
LOST = "lost"


def applied(technique, plan, task):
    if plan is None or technique.applies(plan, task) is not None:
        return None
    try:
        return technique.apply(plan, task)
    except PlanError:
        return None


def in_turn(first, second, plan, alone, task):
    """The plan with one and then the other; None if it is refused, LOST if the first is gone."""
    edited = applied(second, alone[first.name], task)
    # A rate that was tuned belongs to the optimizer, once another one is chosen.
    if edited is None or first.name == "learning_rate":
        return edited
    held = first.is_in(alone[first.name], plan)
    return edited if first.is_in(edited, plan) or not held else LOST


def may_meet(one, other, plan, alone, task):
    """Whether one changes when the other applies, or both change keys that go together."""
    changed = []
    for first, second in ((one, other), (other, one)):
        edited = alone[first.name]
        changed.append(edited.difference(plan) if edited is not None else ())
        if edited is not None:
            before, after = second.applies(plan, task), second.applies(edited, task)
            if (before is None) != (after is None):
                return True
    return any(x == y or frozenset((x, y)) in TOGETHER for x in changed[0] for y in changed[1])


def comes_after(one, other):
    return other.name in one.after or (other.one_of and other.one_of in one.after)


@pytest.mark.parametrize(
    ("task", "changes"),
    [(FILES, {"runtime.loop": "keras"}), (FILES, {}), (IMAGES, RICH)],
    ids=["Keras' loop", "files", "rich"],
)
def test_where_the_order_of_two_techniques_counts_it_is_declared(task, changes):
    plan = Plan().edit(changes)
    alone = {technique.name: applied(technique, plan, task) for technique in ALL}
    undeclared = []
    for one, other in combinations(ALL, 2):
        if clash_between(one, other) or not may_meet(one, other, plan, alone, task):
            continue
        turns = ((one, other), (other, one))
        results = [in_turn(*turn, plan, alone, task) for turn in turns]
        allowed = [
            result
            for (first, second), result in zip(turns, results, strict=True)
            if not comes_after(first, second)
        ]
        differ = any(result != allowed[0] for result in allowed)
        shut_out = allowed == [None] and any(isinstance(result, Plan) for result in results)
        if differ or shut_out or LOST in allowed:
            undeclared.append(f"{one.name}, {other.name}: {results}")
    assert not undeclared
