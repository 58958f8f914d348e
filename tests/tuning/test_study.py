"""The folder of a study: one process at a time, begun once, gone on with on purpose."""

import subprocess
import sys

import pytest

from slipstream.errors import InputError, RecordError
from slipstream.record import JsonModel
from slipstream.tuning import study as study_room
from slipstream.tuning.study import STUDY_FILE, Identity, Study

IDENTITY = Identity("digits", 3, (), True)


class Found(JsonModel):
    """What a stage found."""

    value: int


def opened(folder, resume=False, identity=IDENTITY):
    return Study(folder, identity, 60.0, resume)


def test_a_study_that_stored_nothing_leaves_no_study_behind(tmp_path):
    opened(tmp_path).close()
    assert not (tmp_path / STUDY_FILE).exists()
    opened(tmp_path).close()


def test_what_was_stored_is_there_when_it_goes_on(tmp_path):
    study = opened(tmp_path)
    study.store("look", Found(value=3), 1.0)
    study.close()
    with pytest.raises(InputError, match="resume"):
        opened(tmp_path)
    again = opened(tmp_path, resume=True)
    assert again.result("look", Found) == Found(value=3)
    assert again.result("learn", Found) is None
    again.close()


def test_what_was_left_by_a_study_that_was_killed_at_its_first_file_goes(tmp_path):
    part = tmp_path / f"{STUDY_FILE}.{'0' * 32}.part"
    part.touch()
    opened(tmp_path).close()
    assert not part.exists()


def test_there_must_be_something_to_go_on_with(tmp_path):
    with pytest.raises(InputError, match="none there"):
        opened(tmp_path / "mistyped", resume=True)
    assert not (tmp_path / "mistyped").exists()


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path):
    study = opened(tmp_path)
    study.store("look", Found(value=1), 1.0)
    with pytest.raises(InputError, match="held by this very process"):
        opened(tmp_path, resume=True)
    study.close()
    code = (
        "import os, sys; from pathlib import Path; from slipstream.tuning.study import *;"
        "Study(Path(sys.argv[1]), Identity('digits', 3, (), True), 60.0, True); os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == 9
    opened(tmp_path, resume=True).close()


def test_looking_at_a_study_writes_nothing_and_needs_no_lock(tmp_path):
    study = opened(tmp_path)
    study.store("look", Found(value=1), 1.0)
    before = (tmp_path / STUDY_FILE).read_bytes()
    seen = Study.read(tmp_path)
    assert seen.result("look", Found) == Found(value=1)
    assert (tmp_path / STUDY_FILE).read_bytes() == before
    study.close()


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can be written to"):
        opened(tmp_path / "file" / "below")


def test_a_broken_study_is_said_to_be_one(tmp_path):
    (tmp_path / STUDY_FILE).write_text("{")
    with pytest.raises(RecordError, match="a study in"):
        opened(tmp_path, resume=True)


def test_notes_are_read_up_to_half_a_line(tmp_path):
    study = opened(tmp_path)
    for value in range(3):
        study.note("rows", Found(value=value))
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"value": ')
    assert [found.value for found in study.noted("rows", Found)] == [0, 1, 2]
    study.close()


def test_what_is_noted_after_half_a_line_is_read_too(tmp_path):
    study = opened(tmp_path)
    study.note("rows", Found(value=1))
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"value": ')
    study.note("rows", Found(value=2))
    assert [found.value for found in study.noted("rows", Found)] == [1, 2]
    study.close()


def test_the_time_of_a_killed_sitting_is_spent_and_a_stage_ends_when_it_would_have(
    tmp_path, monkeypatch
):
    now = [1000.0]
    monkeypatch.setattr(study_room.time, "monotonic", lambda: now[0])
    study = opened(tmp_path)
    study.store("look", Found(value=1), 1.0)
    now[0] += 5.0
    assert study.deadline("learn", 30.0).left == 30.0
    told = []
    listener = study.keeping_time(told.append)
    for _ in range(4):
        now[0] += 3.0
        listener("a trial")
    assert told == ["a trial"] * 4
    # Killed: it is not closed.
    study._lock.release()
    again = opened(tmp_path, resume=True)
    assert again.spent_seconds == 17.0
    deadline = again.deadline("learn", 99.0)
    assert (deadline.seconds, deadline.left) == (30.0, 18.0)
    assert deadline.fraction == pytest.approx(0.4)
    again.close()
