"""What the folder of a fit says of going on with it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from commands_help import make_record, write_run

from slipstream.checkpoint import CheckpointStore, RunLock, Snapshot
from slipstream.commands import going_on, show
from slipstream.commands._notes import CompareNotes, FitNotes, write_notes
from slipstream.commands.going_on import (
    begun_with,
    finished_run,
    is_under_way,
    lost_files,
    notices,
    plan_to_go_on_with,
    refuse_taken,
)
from slipstream.errors import InputError
from slipstream.plan import Plan, write_plan
from slipstream.progress import Notice
from slipstream.record import Failure

NOTES = FitNotes(reference="digits", as_given=Plan().to_dict())


def test_a_run_is_finished_when_its_record_says_so(tmp_path: Path) -> None:
    assert finished_run(tmp_path, None, {}, NOTES) is None
    for outcome, failure, is_finished in (
        ("completed", None, True),
        ("stopped_early", None, True),
        ("interrupted", None, False),
        ("failed", Failure(kind="Diverged", message="NaN"), True),
        ("failed", Failure(kind="crash", message="was ended by SIGKILL"), False),
        ("failed", Failure(kind="StorageError", message="full"), False),
    ):
        write_run(make_record(outcome=outcome, failure=failure), tmp_path)
        found = finished_run(tmp_path, None, {}, NOTES)
        assert (found is not None) is is_finished, (outcome, failure)
    (tmp_path / "record.json").write_text('{"schema_ver')
    assert finished_run(tmp_path, None, {}, NOTES) is None


def test_a_finished_run_of_another_plan_is_refused(tmp_path: Path) -> None:
    plan = Plan().edit({"batch.size": 8})
    write_run(make_record(plan=plan.to_dict()), tmp_path)
    assert finished_run(tmp_path, None, {"batch.size": 8}, NOTES) is not None
    with pytest.raises(InputError, match=r"another batch\.size"):
        finished_run(tmp_path, None, {"batch.size": 16}, NOTES)


def test_it_goes_on_with_the_plan_that_it_began_with(tmp_path: Path) -> None:
    plan = Plan().edit({"batch.size": 8})
    assert plan_to_go_on_with(tmp_path, None, {}, NOTES) is None
    write_plan(plan, tmp_path / "plan.toml")
    assert plan_to_go_on_with(tmp_path, None, {}, NOTES) == plan
    # Nothing was trained yet: what is changed is changed in the run's own plan.
    assert plan_to_go_on_with(tmp_path, None, {"schedule.peak": 0.1}, NOTES) == plan
    assert plan_to_go_on_with(tmp_path, Plan(), {}, NOTES) == Plan()
    with RunLock(tmp_path) as lock:
        CheckpointStore(tmp_path, lock=lock).save(Snapshot({"w": np.ones(3)}, {}, update=1))
    assert plan_to_go_on_with(tmp_path, None, {"batch.size": 8}, NOTES) == plan
    assert plan_to_go_on_with(tmp_path, plan, {}, NOTES) == plan
    with pytest.raises(InputError, match=r"peak = 0\.1 where it was 0\.001\. Leave --set"):
        plan_to_go_on_with(tmp_path, None, {"schedule.peak": 0.1}, NOTES)
    with pytest.raises(InputError, match=r"batch\.size = 32 where it was 8"):
        plan_to_go_on_with(tmp_path, Plan(), {}, NOTES)


def checkpoint_of(folder: Path, plan: Plan) -> None:
    values = {"identity": {"plan": dict(plan.flat())}}
    with RunLock(folder) as lock:
        CheckpointStore(folder, lock=lock).save(Snapshot({"w": np.ones(3)}, values, update=1))


@pytest.mark.parametrize("left", [None, "[duration]\nepo", "\0"])
def test_the_plan_of_the_checkpoint_stands_in_for_a_lost_one(
    tmp_path: Path, left: str | None
) -> None:
    plan = Plan().edit({"batch.size": 8, "schedule.peak": 0.1})
    checkpoint_of(tmp_path, plan)
    if left is not None:
        (tmp_path / "plan.toml").write_text(left)
    assert plan_to_go_on_with(tmp_path, None, {}, NOTES) == plan
    with pytest.raises(InputError, match=r"batch\.size = 16 where it was 8"):
        plan_to_go_on_with(tmp_path, None, {"batch.size": 16}, NOTES)
    assert lost_files(tmp_path) == ("command.json", "plan.toml")


def test_a_plan_that_was_edited_in_the_folder_is_told_as_such(tmp_path: Path) -> None:
    checkpoint_of(tmp_path, Plan().edit({"batch.size": 8}))
    write_plan(Plan(), tmp_path / "plan.toml")
    with pytest.raises(InputError, match=r"size = 32 where it was 8\. Delete .*plan\.toml"):
        plan_to_go_on_with(tmp_path, None, {}, NOTES)


def test_damaged_notes_do_not_lock_a_run_that_has_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "command.json").write_text('{"comm')
    write_plan(Plan(), tmp_path / "plan.toml")
    with pytest.raises(InputError, match="no checkpoint to go on from: begin anew"):
        begun_with(tmp_path, "digits")
    checkpoint_of(tmp_path, Plan())
    assert begun_with(tmp_path, "digits") is None
    (told,) = notices(tmp_path, None)
    assert "command.json" in told.text and "written anew" in told.text
    write_run(make_record(outcome="completed"), tmp_path)
    assert finished_run(tmp_path, None, {}, None) is not None
    with pytest.raises(InputError, match="wrote on digits"):
        begun_with(tmp_path, "diabetes")


def test_a_run_whose_checkpoints_are_gone_begins_anew_and_says_so(tmp_path: Path) -> None:
    assert ["no run" in notice.text for notice in notices(tmp_path, None)] == [True]
    assert list(notices(tmp_path, NOTES)) == []
    (tmp_path / "metrics.jsonl").touch()
    (told,) = notices(tmp_path, NOTES)
    assert told.warning and "no checkpoint of this run: it begins anew" in told.text


def test_what_another_command_or_task_left_is_refused(tmp_path: Path) -> None:
    assert begun_with(tmp_path, "digits") is None
    write_notes(tmp_path, NOTES)
    notes = begun_with(tmp_path, "digits")
    assert notes is not None and notes.reference == "digits"
    with pytest.raises(InputError, match="on digits"):
        begun_with(tmp_path, "diabetes")
    write_notes(tmp_path, CompareNotes(reference="digits", labels=("A", "B"), num_seeds=3))
    with pytest.raises(InputError, match="'slipstream compare' wrote on digits"):
        begun_with(tmp_path, "digits")


def test_a_folder_that_stays_taken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_on, "PATIENCE_SECONDS", 0.2)
    refuse_taken(tmp_path)
    with RunLock(tmp_path), pytest.raises(InputError, match="held by this very process"):
        refuse_taken(tmp_path)
    refuse_taken(tmp_path)


def test_a_run_with_checkpoints_is_under_way(tmp_path: Path) -> None:
    assert not is_under_way(tmp_path)
    (tmp_path / "checkpoints" / "00000001-ab.part").mkdir(parents=True)
    assert not is_under_way(tmp_path)
    with RunLock(tmp_path) as lock:
        CheckpointStore(tmp_path, lock=lock).save(Snapshot({"w": np.ones(3)}, {}, update=1))
    assert is_under_way(tmp_path)


@pytest.mark.parametrize("show", [show.shown, show.hidden])
def test_what_a_name_says_to_a_terminal_is_spelt_out(show) -> None:
    stream = io.StringIO()
    with show(stream) as listener:
        listener(Notice("a\x1b[2J\x07b", warning=True))
    assert stream.getvalue() == "Warning: a\\x1b[2J\\x07b\n"
