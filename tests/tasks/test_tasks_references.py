"""References: every form, in a fresh process too, and every way in which one can be wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipstream import tasks
from slipstream.errors import TaskError
from slipstream.tasks import absolute, resolve

ONE = """
import slipstream.task
def build(): return "model"
def load(): return "data"
mine = slipstream.task.Task(model=build, data=load, loss="mse", monitor="val_mae")
"""
TWO = ONE + 'other = slipstream.task.Task(model=build, data=load, loss="mae", name="named")\n'


@pytest.fixture
def write(tmp_path):
    def write(text, name="my_task.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture(autouse=True)
def own_imports(monkeypatch):
    """What a test imports or puts onto the path is gone after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        # Libraries with compiled parts cannot be imported a second time.
        if "site-packages" not in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def refused(reference):
    with pytest.raises(TaskError) as caught:
        resolve(str(reference))
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    return message


def test_a_built_in_name():
    assert resolve("digits") is tasks.resolve("digits")
    assert absolute("digits") == "digits"


def test_a_file_with_one_task_is_named_after_the_file(write):
    task = resolve(str(write(ONE)))
    assert (task.name, task.monitor, task.model(), task.data()) == (
        "my_task",
        "val_mae",
        "model",
        "data",
    )


def test_two_names_for_one_task_are_one_task(write):
    assert resolve(str(write(ONE + "again = mine\n"))).monitor == "val_mae"


def test_a_name_after_the_file_chooses(write):
    assert resolve(f"{write(TWO)}:other").loss == "mae"
    assert resolve(f"{write(TWO)}:other").name == "named"


@pytest.mark.parametrize("name", ["task", "TASK"])
def test_the_usual_names_choose_among_several(write, name):
    assert resolve(str(write(TWO + f"{name} = other\n"))).loss == "mae"


def test_a_changed_file_is_read_anew(write):
    assert resolve(str(write(ONE))).loss == "mse"
    assert resolve(str(write(ONE.replace("mse", "mape")))).loss == "mape"


def test_a_file_may_have_the_name_of_a_module_that_others_need(write):
    write(ONE, "keras_like/json.py")
    import json

    assert resolve(str(write(ONE, "keras_like/json.py"))).name == "json"
    assert sys.modules["json"] is json


def test_an_import_path_in_the_folder_one_stands_in(write, monkeypatch):
    write("", "package_of_mine/__init__.py")
    file = write(ONE, "package_of_mine/tasks.py")
    monkeypatch.chdir(file.parent.parent)
    assert resolve("package_of_mine.tasks:mine").monitor == "val_mae"
    assert "has no" not in refused("package_of_mine.tasks:none")


def test_a_relative_path_becomes_absolute(write, monkeypatch):
    file = write(ONE)
    monkeypatch.chdir(file.parent)
    assert absolute("my_task.py:mine") == f"{file.resolve()}:mine"
    assert absolute("my_task.py") == str(file.resolve())
    assert absolute("package.module:name") == "package.module:name"
    assert resolve("my_task.py").name == "my_task"


def test_a_fresh_process_elsewhere_rebuilds_it_with_its_neighbours(write, tmp_path):
    write("BEST = 0.5", "neighbour.py")
    late = "def load():\n    import late_neighbour\n    return late_neighbour.DATA\n"
    write("DATA = [1, 2]", "late_neighbour.py")
    file = write(
        "from neighbour import BEST\n"
        + ONE.replace("def load(): return 'data'", "")
        + late
        + "task = slipstream.task.Task(model=build, data=load, loss='mse', target=BEST)\n"
    )
    code = (
        "import sys; from slipstream.tasks import resolve; task = resolve(sys.argv[1]);"
        "print(task.name, task.target, task.data())"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-B", "-c", code, str(file)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=elsewhere)
    assert out.stdout.strip() == "my_task 0.5 [1, 2]"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("digit", "digits"), ("fashion-mnist", "fashion_mnist"), (" Digits", "digits")],
)
def test_an_unknown_name_is_told_the_nearest(given, nearest):
    message = refused(given)
    assert f"Did you mean '{nearest}" in message
    assert all(name in message for name in tasks.names())


@pytest.mark.parametrize(("given", "says"), [("", "Built in are"), ("my.toml", "a plan's file")])
def test_what_is_like_no_name_is_not_guessed_at(given, says):
    message = refused(given)
    assert says in message and "Did you mean" not in message


def test_what_is_not_there_is_said(tmp_path):
    assert f"{tmp_path / 'none.py'}, which is not a file" in refused(tmp_path / "none.py")
    assert "which is not a file" in refused(f"{tmp_path / 'none.py'}:task")
    assert "which does not exist" in refused(tmp_path / "folder")
    assert "folder without task.json" in refused(tmp_path)
    assert "no module named 'no_such_package'" in refused("no_such_package.tasks:mine")
    assert "no such name" in refused("json:mine")
    assert "a function" in refused("json:loads")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n\nimport no_such_module\n", ("ModuleNotFoundError", "no_such_module", "line 3")),
        ("def f(:\n", ("SyntaxError", "my_task.py, line 1")),
        ("\n1 / 0\n", ("ZeroDivisionError: division by zero", "my_task.py, line 2")),
        ("import json\n\njson.loads('{')\n", ("JSONDecodeError", "my_task.py, line 3")),
        ("raise SystemExit(3)\n", ("SystemExit: 3", "line 1")),
        ("raise ValueError('one\\ntwo')\n", ("ValueError: one in my_task.py",)),
        (ONE.replace("val_mae", "mae"), ("Write 'val_mae'", "line 5")),
        ("assert False\n", ("AssertionError in my_task.py, line 1",)),
    ],
)
def test_a_file_that_does_not_import_is_told_its_line(write, text, said):
    message = refused(write(text))
    for part in said:
        assert part in message


def test_a_task_that_is_refused_says_why_and_where_and_no_more(write, monkeypatch):
    wrong = ONE.replace("val_mae", "mae")
    file = write(wrong, "wrong_module.py")
    monkeypatch.chdir(file.parent)
    for reference in (file, "wrong_module:task"):
        message = refused(reference)
        assert message.startswith("Expected Task(monitor=...) to be a validation metric; got 'mae'")
        assert message.endswith("choices are made on held-out data. [SLP-218]")
        assert "in wrong_module.py, line 5" in message and "import" not in message


def test_an_error_in_a_neighbour_names_the_line_that_imports_it(write):
    write("\n\n1 / 0\n", "broken_neighbour.py")
    message = refused(write("import sys\nimport broken_neighbour\n"))
    assert "ZeroDivisionError" in message and "my_task.py, line 2" in message


def test_an_error_in_a_module_names_its_line(write, monkeypatch):
    file = write("\n\n1 / 0\n", "broken_module.py")
    monkeypatch.chdir(file.parent)
    assert "broken_module.py, line 3" in refused("broken_module:task")


def test_a_module_that_lacks_another_one_says_which(write, monkeypatch):
    file = write("import no_such_module\n", "lacking.py")
    monkeypatch.chdir(file.parent)
    message = refused("lacking:task")
    assert "the module lacking to import" in message and "no_such_module" in message


def test_a_file_with_no_task_or_too_many_says_so(write):
    assert "slipstream.Task(model=..., data=..., loss=...)" in refused(write("x = 1\n"))
    message = refused(write(TWO))
    assert "2: mine, other" in message and "my_task.py:mine" in message
    assert "There: mine, other" in refused(f"{write(TWO)}:third")
    assert "a function" in refused(f"{write(TWO)}:build")


def test_a_failed_import_leaves_nothing_behind(write):
    before = set(sys.modules)
    refused(write("1 / 0\n"))
    assert not {name for name in set(sys.modules) - before if "my_task" in name}


def test_a_python_file_needs_no_fixed_folder(write):
    file = write(ONE, "a folder with spaces/my task.py")
    assert resolve(str(file)).name == "my task"
    assert Path(absolute(str(file))) == file.resolve()
