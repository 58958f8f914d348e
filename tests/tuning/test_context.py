"""A training that was done in an earlier sitting of a study is not done again."""

import math
from types import SimpleNamespace

from tuning_help import record_of

from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.tuning.context import Context
from slipstream.tuning.rates import find_range

PLAN = Plan()


class Pool:
    """Stands for the warm workers: answers with a record, or with what it is told, and counts."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    def get(self, backend):
        return self

    def train(self, request, on_event):
        self.asked.append(request)
        return self.answer or SimpleNamespace(record=record_of(request.plan))

    def range_test(self, request, timeout):
        self.asked.append(request)
        return self.answer


def context(folder, pool):
    return Context(facts=None, folder=folder, pool=pool, listener=lambda _: None)


def test_a_finished_training_is_read_from_the_study(tmp_path):
    first = context(tmp_path, Pool()).train(PLAN, limit_seconds=10.0)
    later = Pool()
    again = context(tmp_path, later).train(PLAN, limit_seconds=10.0)
    assert again == first and again.seconds_to(0.5) == 2.0
    assert later.asked == []


def test_another_plan_seed_or_limit_is_trained(tmp_path):
    pool = Pool()
    for plan, limit in ((PLAN, 10.0), (PLAN.edit({"seeds.seed": 1}), 10.0), (PLAN, 20.0)):
        assert math.isfinite(context(tmp_path, pool).train(plan, limit_seconds=limit).best_value)
    assert len(pool.asked) == 3


def test_what_failed_or_may_be_given_up_is_done_again(tmp_path):
    crashing = Pool(Failed("crash", "it ended"))
    for _ in range(2):
        assert isinstance(context(tmp_path, crashing).train(PLAN), Failed)
    pruned = Pool()
    for _ in range(2):
        context(tmp_path, pruned).train(PLAN, give_up=lambda _: False)
    assert len(crashing.asked) == len(pruned.asked) == 2


def test_a_range_test_is_run_once_also_where_it_tells_nothing(tmp_path):
    losses = {"falls": (2.0, 2.0, 1.0, 0.5, 3.0), "rises": (2.0, 3.0, 4.0, 5.0, 6.0)}
    for name, values in losses.items():
        points = [(10.0**e, loss) for e, loss in zip(range(-4, 1), values, strict=True)]
        first, later = Pool(SimpleNamespace(points=points)), Pool()
        found = find_range(context(tmp_path / name, first), PLAN)
        assert (found is not None) == (name == "falls")
        assert find_range(context(tmp_path / name, later), PLAN) == found
        assert (len(first.asked), later.asked) == (1, [])
        find_range(context(tmp_path / name, first), PLAN.edit({"optimizer.name": "sgd"}))
        assert len(first.asked) == 2


def test_a_range_test_that_failed_is_run_again(tmp_path):
    crashing = Pool(Failed("crash", "it ended"))
    for _ in range(2):
        assert find_range(context(tmp_path, crashing), PLAN) is None
    assert len(crashing.asked) == 2
