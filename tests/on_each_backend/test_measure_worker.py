"""A real worker on the current backend, asked everything that the manager can ask."""

import math
import os

import pytest

from slipstream.errors import BackendError, InputError, PlanError, TaskError
from slipstream.measure import Failed, Launch
from slipstream.measure.messages import RangeTest, Train, TrainingEvaluated, TrainingStarted
from slipstream.record import read_record

BACKEND = os.environ["KERAS_BACKEND"]
OTHER = "jax" if BACKEND != "jax" else "torch"

# Its output and its reading of the standard input must not break the protocol.
NOISY_TASK = """
import os, sys
print("noise on the standard output", flush=True)
os.write(1, b"noise below Python\\n")
assert sys.stdin.read() == ""
from slipstream.tasks.digits import TASK
"""

# The way of messages and of the log is the same whatever computes: each costs a start.
once = pytest.mark.skipif(BACKEND != "torch", reason="the same on every backend: run with PyTorch")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One open worker for all tests that leave it alive: a start costs seconds."""
    with Launch("digits", log_folder=tmp_path_factory.mktemp("logs")).worker(BACKEND) as worker:
        worker.opened = worker.open()
        worker.looked = worker.look()
        yield worker


def plan_of(looked, **changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return looked.task.as_given.edit(
        {"runtime.backend": BACKEND, "runtime.loop": "slipstream", "batch.size": 128, **dotted}
    )


def test_a_worker_opens_and_looks(worker):
    assert worker.opened.backend == BACKEND
    assert worker.opened.import_seconds > 0
    assert worker.looked.task.num_classes == 10
    assert [f for f in worker.looked.findings if f["severity"] == "error"] == []


def test_a_worker_checks_a_plan_as_a_training_would_and_trains_nothing(worker):
    plan = plan_of(worker.looked)
    assert worker.check("plan b", plan).kind == "checked"
    with pytest.raises(InputError, match="in plan b"):
        worker.check("plan b", plan.edit({"batch.size": 100_000}))
    # The doctor has nothing to say to this; who builds the optimizer has.
    unbuildable = plan.edit({"optimizer.name": "schedule_free_adamw", "optimizer.beta_1": 0.0})
    with pytest.raises(PlanError, match=r"beta_1.*in plan b"):
        worker.check("plan b", unbuildable)


def test_a_worker_measures(worker):
    assert worker.probe(plan_of(worker.looked)).compile_seconds >= 0
    measured = worker.measure(0.1)
    assert min(measured.examples_per_second) > 0
    assert measured.peak_memory_bytes > 50_000_000


def test_a_worker_trains_and_tells(worker, tmp_path):
    seen = []
    plan = plan_of(worker.looked, duration__epochs=2)
    request = Train(plan=plan, folder=str(tmp_path / "run"), evaluate_test=True)
    record = worker.train(request, seen.append).record
    assert record.failure is None
    assert record == read_record(tmp_path / "run")
    assert record.timings.import_seconds == worker.opened.import_seconds
    assert [h.point for h in seen if isinstance(h, TrainingEvaluated)] == record.points
    assert isinstance(seen[0], TrainingStarted)


def test_a_worker_raises_the_rate_evenly(worker):
    plan = plan_of(worker.looked)
    range_test = RangeTest(plan=plan, lowest=1e-4, highest=1e-1, updates=5)
    rates = [rate for rate, loss in worker.range_test(range_test).points if loss > 0]
    assert rates[0] == pytest.approx(1e-4)
    assert math.isclose(rates[1] / rates[0], rates[2] / rates[1], rel_tol=1e-6)


def test_a_worker_stops_a_training_when_asked(worker):
    def enough(happening):
        return isinstance(happening, TrainingEvaluated)

    plan = plan_of(worker.looked, duration__epochs=500)
    record = worker.train(Train(plan=plan), enough).record
    assert record.outcome == "stopped_early"
    assert 1 <= record.epochs < 500


def test_a_plan_for_another_backend_is_refused_and_the_worker_goes_on(worker):
    plan = plan_of(worker.looked)
    with pytest.raises(BackendError):
        worker.probe(plan.edit({"runtime.backend": OTHER}))
    assert worker.probe(plan).compile_seconds >= 0


@once
def test_noise_of_the_users_code_goes_to_the_log(tmp_path):
    file = tmp_path / "noisy.py"
    file.write_text(NOISY_TASK)
    with Launch(str(file), log_folder=tmp_path).worker(BACKEND) as worker:
        opened = worker.open()
        assert not isinstance(opened, Failed), opened
    log = (tmp_path / f"{BACKEND}.log").read_text()
    assert "noise on the standard output" in log and "noise below Python" in log


@once
def test_a_task_that_does_not_import_is_the_users_error(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import no_such_package_at_all\n")
    with (
        Launch(str(file)).worker(BACKEND) as worker,
        pytest.raises(TaskError, match="no_such_package_at_all"),
    ):
        worker.open()
