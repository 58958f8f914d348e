"""Runs are interleaved, made once, and a process that dies is a record too."""

import pytest

from slipstream.environment import environment
from slipstream.measure import interleave, run_interleaved
from slipstream.plan import Plan
from slipstream.record import read_record, write_record

SIDES = {"baseline": Plan(), "winner": Plan().edit({"runtime.backend": "jax"})}


@pytest.fixture
def jobs(tmp_path):
    return interleave(SIDES, [0, 1], tmp_path / "runs")


def rule(record_values, **more):
    return {"on": "train", "record": record_values, **more}


def test_sides_take_turns_in_being_first(jobs):
    assert [(job.side, job.plan.seeds.seed) for job in jobs] == [
        ("baseline", 0),
        ("winner", 0),
        ("winner", 1),
        ("baseline", 1),
    ]


def test_each_run_has_a_fresh_process_on_its_backend(
    fake_launch, record_values, facts, jobs, asked
):
    runs = list(run_interleaved(fake_launch(rule(record_values)), facts, jobs))
    assert [run.record.seed for run in runs] == [0, 0, 1, 1]
    trainings = [request for request in asked() if request["do"] == "train"]
    assert len({request["pid"] for request in trainings}) == 4
    backends = [request["plan"]["runtime"]["backend"] for request in trainings]
    assert backends == ["tensorflow", "jax", "jax", "tensorflow"]


def test_a_crash_is_a_record_and_the_others_go_on(fake_launch, record_values, facts, jobs):
    crash = {"on": "train", "when": {"runtime.backend": "jax", "seeds.seed": 0}, "do": "crash"}
    runs = list(run_interleaved(fake_launch(crash, rule(record_values)), facts, jobs))
    assert [run.record.outcome for run in runs] == ["completed", "failed", "completed", "completed"]
    assert runs[1].failed.kind == runs[1].record.failure.kind == "crash"
    assert runs[1].record.seconds_to(0.5) == float("inf")
    assert runs[1].record.plan_digest == jobs[1].plan.digest()


def finish(job, facts, record, **changes):
    changed = {
        "plan": job.plan.to_dict(),
        "plan_digest": job.plan.digest(),
        "seed": job.plan.seeds.seed,
        "fingerprint": facts.fingerprint,
        "data_hash": facts.data_hash,
        "environment": environment(),
        "outcome": "completed",
        "failure": None,
        **changes,
    }
    write_record(record.model_copy(update=changed), job.folder)


@pytest.mark.parametrize(
    ("changes", "is_run_again"),
    [
        ({}, False),
        ({"outcome": "reached_target"}, False),
        ({"outcome": "failed"}, False),
        ({"outcome": "interrupted"}, True),
        ({"plan_digest": "0" * 12}, True),
        ({"seed": 9}, True),
        ({"data_hash": "other"}, True),
        ({"fingerprint": "other"}, True),
    ],
)
def test_a_complete_record_is_not_made_again(
    fake_launch, record_values, facts, jobs, asked, changes, is_run_again
):
    from slipstream.record import Record

    finish(jobs[0], facts, Record.model_validate(record_values), **changes)
    (run,) = run_interleaved(fake_launch(rule(record_values)), facts, jobs[:1])
    assert run.resumed is not is_run_again
    assert bool(asked()) is is_run_again
    if not is_run_again:
        assert run.record == read_record(jobs[0].folder)


def test_a_record_without_the_test_split_is_made_again_where_it_is_wanted(
    fake_launch, record_values, facts, jobs, asked
):
    from slipstream.record import Record

    record = Record.model_validate(record_values)
    finish(jobs[0], facts, record)
    finish(jobs[1], facts, record, test_values={"accuracy": 0.9})
    launch = fake_launch(rule(record_values))
    runs = list(run_interleaved(launch, facts, jobs[:2], evaluate_test=True))
    assert [run.resumed for run in runs] == [False, True]
    assert [r["evaluate_test"] for r in asked() if r["do"] == "train"] == [True]


def test_a_torn_record_is_made_again(fake_launch, record_values, facts, jobs):
    jobs[0].folder.mkdir(parents=True)
    (jobs[0].folder / "record.json").write_text('{"schema_version": 1, "task"')
    (run,) = run_interleaved(fake_launch(rule(record_values)), facts, jobs[:1])
    assert not run.resumed


def test_a_run_whose_process_was_killed_is_made_once_more(
    fake_launch, record_values, facts, jobs, asked
):
    killed = {"on": "train", "do": "killed"}
    (run,) = run_interleaved(fake_launch(killed, rule(record_values)), facts, jobs[:1])
    assert (run.record.outcome, run.failed.kind) == ("failed", "out_of_memory")
    assert len([request for request in asked() if request["do"] == "train"]) == 2
    crash = {"on": "train", "do": "crash"}
    (run,) = run_interleaved(fake_launch(crash, rule(record_values)), facts, jobs[:1])
    assert run.failed.kind == "crash"
    assert len([request for request in asked() if request["do"] == "train"]) == 3
