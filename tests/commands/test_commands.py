"""The commands' parts that need no worker: times, folders, lines, reports from folders."""

from __future__ import annotations

import html
import io
import json
import math
import queue
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from commands_help import make_record, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.checkpoint import RunLock
from slipstream.cli import summaries
from slipstream.cli.running import Manner
from slipstream.commands import compare, fit, show
from slipstream.commands._notes import AblationNotes, CompareNotes, FitNotes, write_notes
from slipstream.commands._optimize_values import FirstLook
from slipstream.commands.door import optimize
from slipstream.commands.durations import parse_seconds, seconds_in_words
from slipstream.commands.folders import claim, default_folder, slug
from slipstream.commands.interrupt import (
    Terminated,
    first_interrupt_asks,
    interrupts_raise_once,
)
from slipstream.commands.optimize import Confirmation
from slipstream.commands.report import rebuild
from slipstream.errors import InputError, RecordError, TaskError, TrainingError
from slipstream.plan import Plan, write_plan
from slipstream.progress import Notice, StageDone, StageStarted, Step
from slipstream.record import Failure
from slipstream.task import TaskFacts
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.confirm import judge_sides
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult
from slipstream.tuning.study import Identity, Study
from slipstream.verdict import AblationRow
from slipstream.verdict import compare as judge


@given(hours=st.integers(0, 50), minutes=st.integers(0, 300), tenths=st.integers(0, 6000))
@settings(max_examples=60)
def test_lengths_of_time_are_read_as_they_are_written(
    hours: int, minutes: int, tenths: int
) -> None:
    parts = [(hours, "h", 3600), (minutes, "m", 60), (tenths / 10, "s", 1)]
    seconds = sum(value * unit for value, _, unit in parts)
    text = "".join(f"{value}{letter}" for value, letter, _ in parts if value)
    if seconds == 0:
        with pytest.raises(InputError):
            parse_seconds(text)
    else:
        assert parse_seconds(text) == pytest.approx(seconds)
        assert parse_seconds(text.upper().replace("H", "H ")) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "5x", "-3m", "1m1h", "5m 3", "0s", "inf", "nan", 0, -1])
def test_what_is_no_length_of_time_is_refused(text: str | float) -> None:
    with pytest.raises(InputError, match="90s, 5m, 1h"):
        parse_seconds(text)


@given(st.floats(0, 1e6))
def test_words_for_seconds_are_within_their_rounding(seconds: float) -> None:
    words = seconds_in_words(seconds).split()
    units = {"s": 1, "min": 60, "h": 3600}
    said = sum(float(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))
    smallest = units[words[-1]]
    assert abs(said - seconds) <= (smallest / 2 if len(words) > 2 or smallest > 1 else 0.051) + 1e-9


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    folder = claim(tmp_path / "new" / "deep")
    (folder / "logs").mkdir()
    assert claim(folder) == folder
    (folder / "plan.toml").touch()
    with pytest.raises(InputError, match=r"plan\.toml"):
        claim(folder)
    with pytest.raises(InputError, match=r"another folder with --out\. \[SLP-601\]$"):
        claim(folder, resume=None)
    assert claim(folder, resume=True) == folder


def test_a_file_where_a_folder_should_be_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="written to"):
        claim(tmp_path / "file")


def test_to_go_on_takes_the_newest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="none here"):
        default_folder("optimize", "digits", resume=True)
    for stamp in ("20260102-000000", "20260101-000000"):
        (tmp_path / "runs" / f"digits-optimize-{stamp}").mkdir(parents=True)
    (tmp_path / "runs" / "digits-compare-20270101-000000").mkdir()
    found = default_folder("optimize", "digits", resume=True)
    assert found == Path("runs/digits-optimize-20260102-000000")


@given(st.text(min_size=1, max_size=40))
def test_a_slug_is_always_one_plain_name(reference: str) -> None:
    assert slug(reference).replace("-", "").replace("_", "").isalnum() or set(slug(reference)) <= {
        "_", "-"
    }  # fmt: skip
    assert "/" not in slug(reference)


def test_lines_are_plain_and_leave_passing_steps_out() -> None:
    stream = io.StringIO()
    lines = show.Lines(stream)
    lines(StageStarted("runtime", "Measuring jax", 80.0))
    for number in range(100):
        lines(Step("runtime", f"step {number}", number / 100, passing=True))
    lines(Step("runtime", "jax measured", 0.5))
    lines(Notice("Something is odd.", warning=True))
    lines(StageDone("runtime", "jax is fastest", 61.0, resumed=True))
    assert stream.getvalue().splitlines() == [
        "Runtime: Measuring jax (about 1 min 20 s)",
        "  [ 50 %] jax measured",
        "Warning: Something is odd.",
        "Runtime: done before in 1 min 01 s. jax is fastest",
    ]


def test_the_display_of_a_stream_that_is_no_terminal_is_plain() -> None:
    stream = io.StringIO()
    with show.shown(stream) as listener:
        listener(Notice("[bold]as it is[/]"))
    assert stream.getvalue() == "Note: [bold]as it is[/]\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_display_shows_texts_as_they_are() -> None:
    stream = Terminal()
    with show.shown(stream) as listener:
        listener(StageStarted("learn", "Looking [for] a plan", 30.0))
        listener(Step("learn", "[red]odd[/] text", None, passing=True))
        # It is drawn anew ten times a second.
        time.sleep(0.3)
        listener(Step("learn", "trial 3", 0.25))
        listener(StageDone("learn", "[/] found", 3.0))
    text = stream.getvalue()
    for expected in ("Looking [for] a plan", "[red]odd[/] text", "trial 3", "[/] found"):
        assert expected in text


def test_json_has_null_for_what_is_not_finite() -> None:
    stream = io.StringIO()
    show.write_json_line({"a": math.inf, "b": [math.nan, 1.5], "path": Path("x")}, stream)
    assert json.loads(stream.getvalue()) == {"a": None, "b": [None, 1.5], "path": "x"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_asks_and_further_ones_change_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupts_raise_once():
        with first_interrupt_asks() as asked:
            signal.raise_signal(number)
            assert asked.is_set()
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        # What was asked to end is ending: nothing disturbs that.
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        asked.interrupt()
    assert (caught.type is Terminated) == (number == signal.SIGTERM)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_patience_with_an_interrupt_ends(number: signal.Signals) -> None:
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as caught, first_interrupt_asks(patience_seconds=0.2):
        signal.raise_signal(number)
        time.sleep(20)
    assert time.monotonic() - start < 10
    assert (caught.type is Terminated) == (number == signal.SIGTERM)


def test_the_first_interrupt_is_told_once_while_the_main_thread_waits() -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    with first_interrupt_asks(lambda: told.put("told")):
        signal.raise_signal(signal.SIGINT)
        assert told.get(timeout=10.0) == "told"
        signal.raise_signal(signal.SIGINT)
    assert told.empty()


def test_interrupts_are_left_alone_in_other_threads() -> None:
    seen: list[bool] = []

    def other() -> None:
        with first_interrupt_asks() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_fit_in_words() -> None:
    assert fit.in_words(make_record()) == (
        "val_accuracy 0.9000 after 10.0 s; the target 0.5 was met after 5.0 s"
    )
    missed = make_record(target=0.99)
    assert fit.in_words(missed).endswith("the target 0.99 was not met")


@pytest.mark.parametrize(
    ("failure", "after"),
    [
        (None, "optimize digits"),
        (Failure(kind="Diverged", message="NaN"), "fit digits --plan {}/plan.toml --set "
         "schedule.peak=0.0001"),
        (Failure(kind="out_of_memory", message="killed"), "fit digits --out {} --resume"),
    ],
)  # fmt: skip
def test_what_fits_a_run_comes_next(
    failure: Failure | None, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = make_record(outcome="failed" if failure else "completed", failure=failure)
    summaries.of_fit(record, tmp_path, "digits", Manner())
    assert capsys.readouterr().out.endswith(f"  Next: slipstream {after.format(tmp_path)}\n")


def test_without_a_target_the_race_goes_to_what_a_reaches_in_every_run() -> None:
    runs = [make_record(seed, best_value=value) for seed, value in enumerate((0.9, 0.8, None))]
    target = compare._target
    assert target(0.7, 0.6, runs, "A") == (0.7, "the one that was asked for")
    assert target(None, 0.6, runs, "A") == (0.6, "the task's own")
    assert target(None, None, runs, "A") == (0.8, "what A reaches in every run")
    errors = [run.model_copy(update={"mode": "min"}) for run in runs]
    assert target(None, None, errors, "A")[0] == 0.9
    with pytest.raises(TrainingError, match="none with a finite value"):
        target(None, None, runs[2:], "A")


FINDING = {
    "check": "c", "severity": "warning", "what": "many examples", "where": "<b>few</b>",
    "mend": "Find more.", "about": "data",
}  # fmt: skip


def test_the_report_of_a_fit_is_rebuilt(tmp_path: Path) -> None:
    write_run(make_record(), tmp_path)
    notes = FitNotes(reference="digits", as_given=Plan().to_dict(), warnings=(FINDING,))
    (tmp_path / "command.json").write_text(notes.model_dump_json())
    page = rebuild(tmp_path).read_text()
    assert "slipstream fit digits --plan" in page
    assert "&lt;b&gt;few&lt;/b&gt;" in page


def test_what_there_is_of_a_fit_that_was_cut_is_reported(tmp_path: Path) -> None:
    told: list[object] = []
    write_run(make_record(), tmp_path)
    notes = FitNotes(reference="digits", as_given=Plan().to_dict(), facts=FACTS)
    write_notes(tmp_path, notes)
    write_plan(Plan(), tmp_path / "plan.toml")
    (tmp_path / "record.json").unlink()
    page = rebuild(tmp_path, told.append).read_text()
    (notice,) = told
    assert isinstance(notice, Notice) and notice.warning
    assert notice.text.startswith("This run was cut at 9 of 20 epochs")
    assert f"'slipstream fit digits --out {tmp_path} --resume'" in notice.text
    assert "This run was cut at 9 of 20 epochs" in page and "0.9" in page
    assert not (tmp_path / "record.json").exists()
    with RunLock(tmp_path):
        rebuild(tmp_path, told.append)
        assert isinstance(told[1], Notice) and "This run trains now" in told[1].text
        (tmp_path / "metrics.jsonl").unlink()
        with pytest.raises(RecordError, match="one that trains now, and has none yet"):
            rebuild(tmp_path)
    with pytest.raises(RecordError, match="one that was cut before its first evaluation"):
        rebuild(tmp_path)
    write_notes(tmp_path, CompareNotes(reference="digits", labels=("a", "b"), num_seeds=3))
    with pytest.raises(RecordError, match="what 'compare' began, and no run of it"):
        rebuild(tmp_path)


def write_comparison(folder: Path) -> None:
    a, b = ([make_record(seed, rate=rate) for seed in range(3)] for rate in (1.0, 3.0))
    for side, runs in (("a", a), ("b", b)):
        for run in runs:
            write_run(run, folder / "runs" / f"{side}_seed{run.seed}")
    notes = CompareNotes(
        reference="digits",
        labels=("slow", "quick"),
        target=0.5,
        target_from="the task's own",
        num_seeds=3,
        verdict=judge(b, a, target=0.5),
    )
    (folder / "command.json").write_text(json.dumps(notes.model_dump(mode="json")))


def test_the_report_of_a_comparison_is_rebuilt(tmp_path: Path) -> None:
    write_comparison(tmp_path)
    page = rebuild(tmp_path).read_text()
    assert "quick against slow" in page
    assert "faster to val_accuracy 0.5" in page


def test_records_alone_make_a_report_too(tmp_path: Path) -> None:
    write_comparison(tmp_path)
    (tmp_path / "command.json").unlink()
    page = rebuild(tmp_path).read_text()
    assert "1e-03" in page or "0.001" in page
    assert page.count("<html") == 1


def write_ablation(folder: Path, **changes: object) -> AblationNotes:
    """What an ablation leaves behind, of which one run crashed."""
    sides = {
        side: [make_record(seed, rate=rate) for seed in range(3)]
        for side, rate in (("as_given", 1.0), ("winner", 3.0), ("without_cosine", 2.0))
    }
    for side, runs in sides.items():
        for run in runs[: 2 if side == "winner" else 3]:
            write_run(run, folder / "runs" / f"{side}_seed{run.seed}")
    without = judge(sides["winner"], sides["without_cosine"], target=0.5)
    rows = (
        AblationRow(technique="cosine", direction="taken_out", verdict=without),
        AblationRow(technique="cosine", direction="put_alone", failure="it <cannot> be"),
    )
    notes = AblationNotes(
        reference="my task.py",
        plan=Plan().edit({"schedule.name": "cosine"}).to_dict(),
        as_given=Plan().to_dict(),
        num_seeds=3,
        warnings=(FINDING,),
        target=0.5,
        verdict=judge(sides["winner"], sides["as_given"], target=0.5),
        rows=rows,
        crashed=("plan, seed 2: crash: SIGKILL",),
    ).model_copy(update=changes)
    write_notes(folder, notes)
    return notes


def test_the_report_of_an_ablation_is_rebuilt_as_it_was_judged(tmp_path: Path) -> None:
    notes = write_ablation(tmp_path)
    page = rebuild(tmp_path).read_text()
    assert notes.verdict is not None
    # Three pairs were judged, of which two are left as records.
    assert html.escape(notes.verdict.sentence()) in page
    assert "1 run ended without a record" in page and "plan, seed 2: crash: SIGKILL" in page
    assert "it &lt;cannot&gt; be" in page
    assert "&lt;b&gt;few&lt;/b&gt;" in page
    assert f"slipstream ablate &#39;my task.py&#39; --plan {tmp_path / 'plan.toml'}" in page


def test_an_ablation_that_stopped_gets_a_report_of_its_runs(tmp_path: Path) -> None:
    write_ablation(tmp_path, verdict=None, rows=())
    page = rebuild(tmp_path).read_text()
    assert "The plan against the task as given" not in page
    assert "without cosine" in page


def test_a_comparison_that_stopped_gets_a_report_of_its_runs(tmp_path: Path) -> None:
    write_comparison(tmp_path)
    kept = json.loads((tmp_path / "command.json").read_text())
    (tmp_path / "command.json").write_text(json.dumps({**kept, "verdict": None, "target": None}))
    page = rebuild(tmp_path).read_text()
    assert "quick against slow" not in page


def test_runs_of_several_tasks_make_no_report(tmp_path: Path) -> None:
    for task in ("digits", "diabetes"):
        write_run(make_record(task=task), tmp_path / "runs" / f"{task}-fit-1")
    with pytest.raises(RecordError, match=r"diabetes, digits.* like .*runs/digits-fit-1"):
        rebuild(tmp_path)
    assert not (tmp_path / "report.html").exists()
    assert rebuild(tmp_path / "runs" / "digits-fit-1").exists()


FACTS = TaskFacts(
    reference="digits", name="digits", fingerprint="f", data_hash="d", monitor="val_accuracy",
    mode="max", target=0.5, as_given=Plan(), kind="classification", num_train=10,
    num_validation=10, num_test=0, num_classes=2, input_shapes={}, input_dtypes={},
    output_shapes={}, parameters=1, multiply_adds=1, layers={},
)  # fmt: skip


def write_study(folder: Path, *, confirmed: bool) -> None:
    """What a study of two trials leaves behind."""
    sides = {"as_given": 1.0, "tuned_baseline": 1.5, "winner": 4.0}
    runs = {s: [make_record(seed, rate=r) for seed in range(3)] for s, r in sides.items()}
    for side, records in runs.items():
        for run in records:
            write_run(run, folder / "runs" / f"{side}_seed{run.seed}")
    study = Study(folder, Identity("digits", 3, (), True), 600.0, resume=False)
    given, plan = Plan(), Plan().edit({"schedule.peak": 4e-3})
    study.store("look", FirstLook(facts=FACTS), 1.0)
    study.store("runtime", RuntimeResult(rows=(), seconds=1.0, epochs_planned=20), 1.0)
    baselines = Baselines(as_given=given, tuned=given, sweep=(), target=0.5, quality=0.9)
    study.store("baselines", baselines, 1.0)
    learned = LearnResult(trials=(), ranges={}, plan=plan, score=1.0, gap=0.0)
    study.store("learn", learned, 1.0)
    if confirmed:
        verdicts = judge_sides(runs, 0.5)
        study.store("confirm", Confirmation(plan=plan, target=0.5, verdicts=verdicts), 1.0)
    study.close()


def test_the_report_of_a_study_is_rebuilt(tmp_path: Path) -> None:
    write_study(tmp_path, confirmed=True)
    page = rebuild(tmp_path).read_text()
    assert "than the task as given, and" in page and "no loss of quality was found." in page
    assert "slipstream fit digits --plan" in page
    assert not (tmp_path / "train.py").exists()


def test_a_study_without_a_proof_says_why(tmp_path: Path) -> None:
    write_study(tmp_path, confirmed=False)
    study = Study(tmp_path, Identity("digits", 3, (), True), 600.0, resume=True)
    skipped = "the proof needs <90 s> of the 60 s"
    study.store("confirm", Confirmation(plan=Plan(), target=0.5, verdicts={}, skipped=skipped), 0.0)
    study.close()
    page = rebuild(tmp_path).read_text()
    assert "No gain is claimed: the proof needs &lt;90 s&gt; of the 60 s." in page


def test_a_study_that_stopped_gets_a_report_of_its_runs(tmp_path: Path) -> None:
    write_study(tmp_path, confirmed=False)
    page = rebuild(tmp_path).read_text()
    assert "A gain" not in page
    assert "tuned baseline" in page


@pytest.mark.parametrize("text", ["{", "[]", '{"command": "compare"}'])
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "command.json").write_text(text)
    with pytest.raises(RecordError, match=r"command\.json"):
        rebuild(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="none"):
        rebuild(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3,), "a int"),
        (("digits", [1.0], [2.0]), "x and y beside a str"),
    ],
)
def test_the_door_says_what_it_takes(
    arguments: tuple[object, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match=words):
        optimize(*arguments, folder=tmp_path, progress=False)


def test_nothing_is_printed_on_standard_output_by_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show.shown() as listener:
        listener(Notice("hello"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Note: hello\n")
    assert sys.stdout is not None
