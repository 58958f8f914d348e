"""A training that was done in an earlier sitting of a study is not done again."""

import math

from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.record import Environment, Point, Record, Timings
from slipstream.tuning.context import Context

PLAN = Plan()


def record_of(plan):
    return Record(
        task="t", reference="t", fingerprint="f", data_hash="d", plan=plan.to_dict(),
        plan_digest=plan.digest(), backend=plan.runtime.backend, seed=plan.seeds.seed,
        monitor="val_accuracy", mode="max", target=0.5, started_at="now",
        environment=Environment(machine={}, versions={}), timings=Timings(), outcome="completed",
        updates=1, epochs=1.0, examples_per_second=1.0, peak_memory_bytes=1, parameters=1,
        best_value=0.6, best_epoch=1.0, final_values={},
        points=[Point(step=1, epoch=1.0, seconds=2.0, values={"val_accuracy": 0.6})],
    )  # fmt: skip


class Pool:
    """Stands for the warm workers: answers with a record, or with what it is told, and counts."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    def get(self, backend):
        return self

    def train(self, request, on_event):
        self.asked.append(request)
        return self.answer or type("Answer", (), {"record": record_of(request.plan)})()


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
