"""The command line: help, exit codes, what goes to which stream; no training."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from slipstream import techniques
from slipstream.cli import main
from slipstream.cli.early import interrupts_end_it
from slipstream.cli.running import Manner, running
from slipstream.commands.interrupt import Terminated
from slipstream.errors import DataError
from slipstream.plan import Plan, from_toml, to_toml
from slipstream.progress import Notice, StageStarted, Step

COMMANDS = (
    "optimize", "fit", "run", "compare", "ablate", "report", "eject", "plan", "schedule",
    "batch", "landscape", "tasks", "explain", "techniques",
)  # fmt: skip


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    assert f"Example: slipstream {command}" in text


def test_help_lists_all_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"│ {command} " in text for command in COMMANDS)
    for code in ("0 done", "1 a training", "2 bad input", "130 interrupted"):
        assert code in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import slipstream

    assert run("--version") == 0
    assert capsys.readouterr().out == f"slipstream {slipstream.__version__}\n"


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slipstream", "fit", "digit"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'digits'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "digit"], ["'digit'", "Did you mean 'digits'?"]),
        (["fit", "nowhere.py"], ["nowhere.py, which is not a file"]),
        (["fit", "digits", "--plan", "nowhere.toml"], ["nowhere.toml"]),
        (["fit", "digits", "--set", "schedule.peek=1"], ["'schedule.peek'", "'schedule.peak'"]),
        (["fit", "digits", "--set", "batch.size"], ["--set schedule.peak=3e-3"]),
        (["fit", "digits", "--set", "runtime.backend=caffe"], ["'caffe'", "'tensorflow', 'jax'"]),
        (["optimize", "digits", "--backends", "jx"], ["'jx'", "Did you mean 'jax'?"]),
        (["optimize", "digits", "--budget", "10"], ["'10'", "Did you mean '10m'?"]),
        (["optimize", "digits", "--budget", "soon"], ["'soon'", "1m30s"]),
        (["optimize", "digits", "--backends", "theano"], ["'theano'"]),
        (["optimize", "digits", "--resume"], ["digits-optimize-", "--out"]),
        (["report", "nowhere"], ["nowhere", "no such folder"]),
        (["plan", "--recipe", "one_cycle"], ["name of a recipe", "adam_one_cycle"]),
        (["plan", "--recipe", "adam_one_cycle"], ["a TASK beside --recipe"]),
        (["plan", "--technique", "sam"], ["a TASK beside --recipe or --technique"]),
        (["techniques", "warmpu"], ["'warmpu'", "'warmup'"]),
        (["techniques", "lsuv"], ["'lsuv'", "'initialization'"]),
        (["techniques", "tabluar"], ["name of a recipe", "'tabular'"]),
        (["optimize", "digits", "--techniques", "sam,mixpu"], ["'mixpu'", "'mixup'"]),
        (["schedule", "cosine"], ["--set schedule.name=cosine"]),
        (["schedule", "--updates-per-epoch", "0"], ["updates of an epoch above 0"]),
        (
            ["plan", "--set", "schedule.warmup=10 updates"],
            ["schedule.warmup", "Write it like '500 steps'"],
        ),
        (["plan", "--set", "optimizer.name=momentum"], ["'momentum'", "slipstream techniques"]),
        (
            ["plan", "--set", "loss.name=asymetric_mse"],
            ["[loss]", "Did you mean 'asymmetric_mse'?"],
        ),
        (["plan", "--set", "precision.tf32=true"], ["'on'", "True"]),
        (
            ["plan", "--set", "optimizer.ema=0.9", "--set", "optimizer.swa=0.5"],
            ["two averages", "Set one of them to 0."],
        ),
        (["eject", "nowhere.toml", "digits"], ["nowhere.toml"]),
        (["schedule", "digits"], ["got: no such file", "slipstream plan"]),
        (["compare", "a.toml", "b.toml", "digits"], ["a plan in b.toml"]),
        (["fit", "a.toml"], ["That is a plan's file: the task comes first"]),
        (["plan", "--set", "runtime.backend=tf"], ["Did you mean 'tensorflow'?"]),
        (["plan", "--set", "precision.policy=fp16"], ["Did you mean 'mixed_float16'?"]),
        (["plan", "--set", "regularization.dropout=50%"], ["Write it as a share: 0.5."]),
        (["plan", "--set", "schedule.peak=0,1"], ["Write it with a point: 0.1."]),
        (["plan", "digits", "--recipe", "fast"], ["There are adamw_cosine_warmup, "]),
        (["techniques", "lr"], ["Did you mean 'learning_rate'?"]),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    name, *parts = [line.partition(":")[0] for line in err.splitlines()]
    assert re.fullmatch(r"Error SLP-\d{3}", name)
    assert parts == ["  got", "  to mend"]
    for word in words:
        assert word in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["digits"], 1, ["the name of a command", "'digits'"]),
        (["fitt", "digits"], 1, ["'fitt'", "Did you mean 'fit'?"]),
        (["train", "digits"], 1, ["Did you mean 'fit'?"]),
        (["version"], 1, ["Did you mean '--version'?"]),
        (["fit", "digits", "--seed", "3"], 2, ["Write --set seeds.seed=..."]),
        (["optimize", "digits", "--set", "a=1"], 2, ["That is an option of 'slipstream fit'."]),
        (["fit", "digits", "batch.size=3"], 4, ["Write --set batch.size=3"]),
        (["fit", "digits", "--set", "batch.size", "3"], 4, ["Write --set batch.size=3, without"]),
        (["ablate", "digits", "p.toml"], 3, ["Write --plan p.toml"]),
        (["explain", "foo"], 23, ["to mend: 'slipstream explain' lists all."]),
        (["fit"], 3, ["TASK", "'slipstream fit'"]),
        (["fit", "digits", "--sed", "a=1"], 2, ["'--sed'", "Did you mean '--set'?"]),
        (["fit", "digits", "--epochs", "3"], 2, ["'--epochs'", "Write --set duration.epochs=..."]),
        (["optimize", "digits", "--lr=1"], 2, ["'--lr'", "a key of the plan, schedule.peak"]),
        (["optimize", "digits", "--seed", "4"], 2, ["Did you mean '--seeds'?"]),
        (["fit", "digits", "--output", "x"], 2, ["Did you mean '--out'?"]),
        (["fit", "digits", "--set"], 6, ["--set"]),
        (["fit", "digits", "--resume=1"], 6, ["--resume"]),
        (["compare", "digits", "a.toml"], 3, ["B.toml"]),
        (["ablate", "digits"], 3, ["--plan"]),
        (["report", "a", "b"], 4, ["'b'"]),
        (["optimize", "digits", "--seeds", "1"], 5, ["--seeds", "'1'", "3"]),
        (["ablate", "digits", "--plan", "p.toml", "--seeds=x"], 5, ["--seeds", "'x'", "integer"]),
        (["fit", "digits", "--data-dir", "nowhere"], 5, ["--data-dir", "nowhere"]),
        (["explain", "SLP-9"], 23, ["'SLP-9'", "Did you mean 'SLP-"]),
    ],
)
def test_what_cannot_be_parsed_is_said_like_any_other_mistake(
    arguments: list[str], code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    name, *parts = [line.partition(":")[0] for line in err.splitlines()]
    assert (name, parts) == (f"Error SLP-{code:03}", ["  got", "  to mend"])
    for word in words:
        assert word in err


def test_every_option_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["fit", "digits", "--out", "--odd", "--epochs=3", "--quiet", "--batch-size", "3", "--"]
    assert run(*line, "--more") == 2
    err = capsys.readouterr().err
    assert "got: '--epochs'" in err and "1 more problem was found:" in err
    assert "got '--batch-size'. Write --set batch.size=..." in err
    assert "--odd" not in err and "--more" not in err


def test_every_setting_that_is_wrong_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("lr=0.1", "batch.size=none", "epochs", "duration.epochs=3")
    assert run("plan", *(word for text in settings for word in ("--set", text))) == 2
    err = capsys.readouterr().err
    assert "2 more problems were found:" in err
    for said in ("Did you mean 'schedule.peak'?", "'batch.size' to be", "--set KEY=VALUE"):
        assert said in err
    assert "duration.epochs" not in err


def test_an_error_of_the_parser_is_json_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("fit", "digits", "--json", "--sed") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["code"], told["exit_code"]) == ("error", "SLP-002", 2)


def test_explain_says_cause_and_cure_and_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "slp-101") == 0
    text = capsys.readouterr().out
    assert text.startswith("SLP-101: ") and "cause:" in text and "cure:" in text
    assert run("explain") == 0
    assert "SLP-101  A key that plans do not have" in capsys.readouterr().out.splitlines()


def test_a_plan_with_a_mistake_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("plan.toml").write_text("[batch]\nsize = 32\n\n[schedule]\npeek = 0.1\n")
    assert run("fit", "digits", "--plan", "plan.toml") == 2
    assert "plan.toml, line 5" in capsys.readouterr().err


def test_a_backend_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {"tensorflow": ("no_such_module",), "jax": ("json",), "torch": ("no_such_module",)}
    monkeypatch.setattr("slipstream.measure.manager.BACKENDS", kept)
    assert run("fit", "digits", "--set", "runtime.backend=torch") == 2
    err = capsys.readouterr().err
    assert "only jax" in err
    assert "pip install 'slipstream[torch]' (from a clone: pip install -e '.[torch]')" in err
    # A task that names no backend is trained on what there is.
    for arguments in (["plan", "digits"], ["plan"]):
        assert run(*arguments) == 0
        assert from_toml(capsys.readouterr().out).runtime.backend == "jax"


def test_an_error_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "digit", "--json") == 2
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["exit_code"], told["got"]) == ("error", 2, "'digit'")


def test_the_default_plan_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan") == 0
    assert from_toml(capsys.readouterr().out) == Plan()


def test_a_tasks_plan_with_a_change_goes_to_a_file() -> None:
    assert run("plan", "digits", "--set", "batch.size=64", "--out", "plans/mine.toml") == 0
    plan = from_toml(Path("plans/mine.toml").read_text())
    assert (plan.batch.size, plan.runtime.loop) == (64, "keras")


def test_a_folder_that_holds_results_is_not_written_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("old").mkdir()
    Path("old/record.json").write_text("precious")
    assert run("fit", "digits", "--out", "old") == 2
    assert "one that holds record.json" in capsys.readouterr().err
    assert Path("old/record.json").read_text() == "precious"


def test_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tasks") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"digits", "fashion_mnist", "breast_cancer", "diabetes"} <= set(names)
    assert "by_value" not in names


def test_techniques_are_listed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("techniques") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    recipes = [recipe.name for recipe in (*techniques.case_recipes(), *techniques.recipes())]
    assert sorted(names[: -len(recipes)]) == [t.name for t in techniques.all_techniques()]
    assert names[-len(recipes) :] == recipes
    for name in ("warmup", "tabular"):
        assert run("techniques", name) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name}: ")
        assert "Measured:" in out


def test_techniques_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("techniques", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"name", "summary"} == set(rows[0])


def test_eject_prints_a_script_that_compiles(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.toml").write_text(to_toml(Plan().edit({"schedule.name": "cosine"})))
    assert run("eject", "plan.toml", "digits") == 0
    out, err = capsys.readouterr()
    compile(out, "train.py", "exec")
    assert err == ""


class Command:
    """Stands in for a command that takes long."""

    def __init__(self, ends_with: BaseException | None, *, begins: bool = False) -> None:
        self.ends_with = ends_with
        self.begins = begins
        self.given: tuple[object, ...] = ()

    def __call__(self, *given: object, listener: object = None, **_: object) -> object:
        self.given = given
        tell = listener if callable(listener) else given[-1]
        assert callable(tell)
        tell(StageStarted("look", "Looking"))
        tell(Step("look", "half way", 0.5))
        tell(Notice("Few examples.", warning=True))
        assert self.ends_with is not None
        if self.begins:
            folder = next(value for value in given if isinstance(value, Path))
            folder.mkdir(parents=True)
        raise self.ends_with


def test_interrupted_commands_end_with_130_and_say_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(KeyboardInterrupt(), begins=True)
    monkeypatch.setattr("slipstream.commands.optimize.optimize", command)
    assert run("optimize", "digits", "--budget", "90s", "--no-allow-precision") == 130
    err = capsys.readouterr().err
    folder = command.given[1]
    assert isinstance(folder, Path)
    assert folder.parent == Path("runs")
    go_on = f"slipstream optimize digits --budget 90s --no-allow-precision --out {folder} --resume"
    assert f"to go on: {go_on}" in err


def test_nothing_is_said_to_be_kept_where_nothing_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("slipstream.commands.compare.compare", Command(KeyboardInterrupt()))
    Path("a.toml").write_text(to_toml(Plan()))
    assert run("compare", "digits", "a.toml", "a.toml", "--quiet") == 130
    assert capsys.readouterr().err.splitlines() == ["Warning: Few examples.", "Interrupted."]


INTERRUPTED_IMPORT = """
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from slipstream.cli import main
main(["tasks"])
"""


def test_ctrl_c_is_told_before_the_command_line_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_within_a_command_ctrl_c_is_the_commands_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_end_it():
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(typer.Exit), running(Manner(quiet=True)):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_slipstream_itself_is_one_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    monkeypatch.setattr("slipstream.commands.fit.fit", Command(ZeroDivisionError("by zero")))
    assert run("fit", "digits", "--out", "out", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == ""
    warning, told = err.splitlines()
    assert warning == "Warning: Few examples."
    assert told.startswith("Internal error SLP-020: ZeroDivisionError: by zero.")
    assert "out/error.txt" in told
    assert "Traceback" in Path("out/error.txt").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_one_sentence_and_no_traceback(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    full = OSError(number, "No space left on device", "out/record.json")
    monkeypatch.setattr("slipstream.commands.fit.fit", Command(full))
    assert run("fit", "digits", "--out", "out", "--quiet") == 1
    _, error, got, _ = capsys.readouterr().err.splitlines()
    assert error == "Error SLP-612: expected a disk that takes what is written to out/record.json"
    assert got == "  got: No space left on device"
    assert not Path("out/error.txt").exists()


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_an_interrupted_fit_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    monkeypatch.setattr("slipstream.commands.fit.fit", Command(error, begins=True))
    assert run("fit", "digits", "--out", "run", "--set", "batch.size=8") == code
    go_on = "slipstream fit digits --out run --set batch.size=8 --resume"
    assert f"to go on: {go_on}" in capsys.readouterr().err


def test_happenings_as_json_are_one_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DataError("labels", "none", "Add them.")
    monkeypatch.setattr("slipstream.commands.fit.fit", Command(error))
    assert run("fit", "digits", "--json") == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in told] == ["stage_started", "step", "notice", "error"]
    assert told[1] == {
        "kind": "step", "stage": "look", "text": "half way", "fraction": 0.5, "passing": False
    }  # fmt: skip
    assert told[3]["mend"] == "Add them."


@pytest.mark.parametrize(
    "statement",
    [
        "import slipstream; slipstream.Plan, slipstream.optimize, slipstream.Task, dir(slipstream)",
        "from slipstream import *",
        "import slipstream.cli.summaries, slipstream.commands.optimize, slipstream.commands.fit",
    ],
)
def test_no_keras_is_imported(statement: str) -> None:
    check = (
        f"{statement}\nimport sys\n"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_the_installed_command_runs_and_writes_no_control_characters() -> None:
    program = Path(sys.executable).with_name("slipstream")
    if not program.exists():
        pytest.skip("the package is not installed as a program")
    variables = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    done = subprocess.run(
        [program, "fit", "digit"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=variables,
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_the_public_door_has_few_names_that_all_exist() -> None:
    import slipstream

    assert len(slipstream.__all__) <= 30
    assert sorted(slipstream.__all__) == sorted(set(slipstream.__all__))
    for name in slipstream.__all__:
        assert getattr(slipstream, name) is not None
    assert set(slipstream.__all__) <= set(dir(slipstream))
    with pytest.raises(AttributeError):
        slipstream.no_such_name  # noqa: B018
