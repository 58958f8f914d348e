"""Whose mistake it is when a task cannot be loaded, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import slipstream
from slipstream.commands.look import launch_for, not_opened
from slipstream.errors import TaskError, TrainingError
from slipstream.measure import Failed

OWN = str(Path(slipstream.__file__).parent)


def failed(*files: str) -> Failed:
    lines = [f'  File "{file}", line {number}, in f' for number, file in enumerate(files, start=3)]
    trace = "\n".join(["Traceback (most recent call last):", *lines, "ValueError: bad."])
    return Failed("error", "ValueError: bad.\nmore", trace)


def test_the_line_of_the_users_file_is_named() -> None:
    files = (f"{OWN}/measure/worker.py", "/home/me/mine.py", "/x/site-packages/keras/a.py")
    error = not_opened(failed(*files), "mine.py")
    assert isinstance(error, TaskError)
    assert error.came == "ValueError: bad in mine.py, line 4"


@pytest.mark.parametrize(
    ("message", "call"), [("SystemExit: 7", "sys.exit(7)"), ("SystemExit", "sys.exit()")]
)
def test_sys_exit_is_told_as_it_was_written(message: str, call: str) -> None:
    ended = Failed("error", message, failed("/home/me/mine.py").log)
    error = not_opened(ended, "mine.py")
    assert error.came == f"a call of {call} in mine.py, line 3"


def test_a_mistake_of_ours_is_not_blamed_on_the_user() -> None:
    error = not_opened(failed(f"{OWN}/measure/worker.py", f"{OWN}/engine/look.py"), "digits")
    assert isinstance(error, TrainingError)
    assert "not yours" in error.mend


@pytest.mark.parametrize("last", [f"{OWN}/tasks/digits.py", "/x/site-packages/keras/a.py"])
def test_what_libraries_and_built_in_tasks_raise_is_the_tasks(last: str) -> None:
    assert isinstance(not_opened(failed(f"{OWN}/engine/look.py", last), "digits"), TaskError)


def test_a_process_that_died_is_a_failure() -> None:
    died = Failed("out_of_memory", "was ended by SIGKILL")
    error = not_opened(died, "digits")
    assert isinstance(error, TrainingError)
    assert "one that was ended by SIGKILL" in str(error)
    assert "memory" in error.mend


@pytest.mark.parametrize(
    ("died", "wait"),
    [
        (Failed("crash", "ended with exit code 7"), False),
        (Failed("crash", "was ended by SIGSEGV"), False),
        (Failed("hang", "said nothing for 120 seconds and was ended"), True),
    ],
)
def test_memory_is_blamed_only_where_it_was_short(died: Failed, wait: bool) -> None:
    error = not_opened(died, "mine.py")
    assert error.came == f"one that {died.message}"
    assert "memory" not in str(error)
    assert ("wait for" in error.mend, "os._exit" in error.mend) == (wait, not wait)


def test_a_memory_error_is_told_with_its_line() -> None:
    raised = failed("/home/me/mine.py")
    short = Failed("out_of_memory", "MemoryError: Unable to allocate 70 GiB.\nmore", raised.log)
    error = not_opened(short, "mine.py")
    assert error.came == (
        "one that raised MemoryError: Unable to allocate 70 GiB in mine.py, line 3"
    )
    assert "memory" in error.mend


def test_a_crash_is_told_with_the_users_innermost_line() -> None:
    log = f"""Fatal Python error: Segmentation fault
Thread 0x01 (most recent call first):
  File "/home/me/other.py", line 1 in thread
Current thread 0x02 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/home/me/mine.py", line 11 in inner
  File "/home/me/mine.py", line 14 in load
  File "{OWN}/measure/worker.py", line 123 in _open
Extension modules: numpy (total: 175)"""
    error = not_opened(Failed("crash", "was ended by SIGSEGV", log), "mine.py")
    assert error.came == "one that was ended by SIGSEGV, in mine.py, line 11"
    inside = log.replace("/home/me/mine.py", "/x/site-packages/keras/a.py")
    assert not_opened(Failed("crash", "was ended", inside), "mine.py").came == "one that was ended"


@pytest.mark.parametrize("reference", ["digit", "nowhere.py", "no/such/folder", "mine.task.pkl"])
def test_what_is_no_task_is_told_before_a_process_starts(reference: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError):
        launch_for(reference, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_code_is_left_to_the_worker(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise RuntimeError('imported')")
    assert launch_for(f"{file}:task", tmp_path).reference == f"{file}:task"
    assert launch_for("no_such_package.module:task").reference == "no_such_package.module:task"
