"""Folders of commands: never written over, and gone again where a command was refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.checkpoint import RunLock
from slipstream.commands.folders import LOG_FOLDER, TASK_FILE, claim, claimed
from slipstream.errors import InputError, TrainingError

REFUSED = InputError("a plan", "none", "Name one.")
FAILED = TrainingError("a training", "none", "Look at the logs.")


def leave_behind(folder: Path, *names: str) -> None:
    (folder / LOG_FOLDER).mkdir(exist_ok=True)
    for name in (f"{LOG_FOLDER}/look.log", *names):
        (folder / name).write_text("mine")


def test_a_refused_command_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "deep" / "one"
    with pytest.raises(InputError, match="Name one"), claimed(folder):
        leave_behind(folder, TASK_FILE)
        raise REFUSED
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_a_refusal_stays(tmp_path: Path) -> None:
    (tmp_path / TASK_FILE).write_text("theirs")
    with pytest.raises(InputError, match="Name one"), claimed(tmp_path):
        leave_behind(tmp_path)
        raise REFUSED
    assert [path.name for path in tmp_path.iterdir()] == [TASK_FILE]
    assert (tmp_path / TASK_FILE).read_text() == "theirs"


@pytest.mark.parametrize("error", [REFUSED, KeyboardInterrupt()])
def test_results_stay_however_it_ends(tmp_path: Path, error: BaseException) -> None:
    folder = tmp_path / "one"
    with pytest.raises(type(error)), claimed(folder):
        leave_behind(folder, "plan.toml")
        raise error
    assert (folder / "plan.toml").exists() and (folder / LOG_FOLDER / "look.log").exists()


def test_the_logs_of_a_failure_stay_and_those_of_an_interrupted_look_go(tmp_path: Path) -> None:
    with pytest.raises(TrainingError), claimed(tmp_path / "failed"):
        leave_behind(tmp_path / "failed")
        raise FAILED
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "stopped"):
        leave_behind(tmp_path / "stopped")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["failed"]


def test_traces_go_with_a_refusal_and_stay_with_an_interrupt(tmp_path: Path) -> None:
    for folder, error in ((tmp_path / "a", REFUSED), (tmp_path / "b", KeyboardInterrupt())):
        with pytest.raises(type(error)), claimed(folder, traces=["study.json"]):
            leave_behind(folder, "study.json")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_only_a_folder_with_its_own_mark_is_gone_on_with(tmp_path: Path) -> None:
    assert claim(tmp_path / "new", resume=True, marker="study.json").is_dir()
    (tmp_path / "record.json").touch()
    with pytest.raises(InputError, match=r"holds new and no study\.json"):
        claim(tmp_path, resume=True, marker="study.json")
    (tmp_path / "study.json").touch()
    assert claim(tmp_path, resume=True, marker="study.json") == tmp_path


@pytest.mark.parametrize("name", ["metrics.jsonl", "logs", "runs/a/b.log", "optuna.journal"])
def test_what_is_written_follows_no_link(tmp_path: Path, name: str) -> None:
    outside, folder = tmp_path / "theirs", tmp_path / "run"
    outside.write_text("theirs")
    (folder / name).parent.mkdir(parents=True)
    (folder / "study.json").touch()
    # What is not written may lie where it will.
    (folder / "notes").symlink_to(outside)
    assert claim(folder, resume=True) == folder
    (folder / name).symlink_to(outside)
    with pytest.raises(InputError, match=f"{name}, a link to somewhere else"):
        claim(folder, resume=True)
    assert outside.read_text() == "theirs"


@pytest.mark.parametrize("locked", [True, False])
def test_what_a_command_was_writing_that_was_killed_is_no_result(
    tmp_path: Path, locked: bool
) -> None:
    part = tmp_path / f"command.json.{'0' * 32}.part"
    part.touch()
    with claimed(tmp_path, locked=locked):
        assert not part.exists()
    part.touch()
    with RunLock(tmp_path), claimed(tmp_path):
        # Somebody writes it right now.
        assert part.exists()


@pytest.mark.parametrize("below", ["file", "file/deeper", "file/deeper/still"])
def test_a_file_in_its_place_is_an_input_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("theirs")
    with pytest.raises(InputError, match="can be written to"), claimed(tmp_path / below):
        pass
    assert (tmp_path / "file").read_text() == "theirs"


def test_a_folder_that_cannot_be_written_to_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Whoever runs tests as root may write everywhere.
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match="PermissionError"):
        claim(tmp_path)


def test_a_folder_that_another_has_is_refused_and_left_alone(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        with pytest.raises(InputError, match="is held by"), claimed(tmp_path, locked=True):
            pytest.fail("two have it")
        assert (tmp_path / "run.lock").exists()
    with claimed(tmp_path, locked=True), pytest.raises(InputError, match="is held by"):
        RunLock(tmp_path).acquire()
    RunLock(tmp_path).acquire().release()
