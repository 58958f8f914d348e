"""What the report of a study says beside its verdict: stages, sweep, commands, crashes."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pytest
from commands_help import make_record, write_run

from slipstream.commands import _optimize_report as report_of
from slipstream.commands._optimize_values import Confirmation, FirstLook
from slipstream.commands.report import rebuild
from slipstream.errors import TaskError
from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.tuning.baselines import Baselines, SweepRow
from slipstream.tuning.confirm import judge_sides
from slipstream.tuning.journal import TrialRow
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult
from slipstream.tuning.study import Identity, Study

REFERENCE = "my task.py"
TRIED = Plan().edit({"schedule.name": "cosine"})
RATES = (
    SweepRow(rate=0.03, best_value=0.7125, seconds_to_target=float("inf")),
    SweepRow(rate=0.125, best_value=0.8375, seconds_to_target=12.5),
)


def study_in(folder: Path, facts: TaskFacts, confirmation: Confirmation | None) -> report_of.Found:
    identity = Identity(REFERENCE, 3, ("jax", "torch"), False)
    study = Study(folder, identity, 90.0, resume=False)
    tuned = Plan().edit({"schedule.peak": 0.125})
    baselines = Baselines(as_given=Plan(), tuned=tuned, sweep=RATES, target=0.5, quality=0.9)
    trial = TrialRow(
        number=0, recipe="adam_one_cycle", changes={}, score=1.0, seconds_to_target=1.0,
        best_value=0.4, outcome="met",
    )  # fmt: skip
    plan = TRIED if confirmation else None
    learned = LearnResult(trials=(trial,), ranges={}, plan=plan, score=1.0, gap=0.0)
    runtime = RuntimeResult(rows=(), seconds=1.0, epochs_planned=20)
    stages = {
        "look": FirstLook(facts=facts), "runtime": runtime, "baselines": baselines,
        "learn": learned, "confirm": confirmation,
    }  # fmt: skip
    for name, result in stages.items():
        if result is not None:
            study.store(name, result, 1.0)
    found = report_of.Found(facts, (), runtime, baselines, learned, confirmation, None)
    gain = confirmation is not None
    try:
        report_of.write_all(found, "Said.", gain, plan or Plan(), study, REFERENCE)
    finally:
        study.close()
    return found


def commands_in(page: str) -> list[str]:
    block = re.search(r'<pre id="commands".*?</pre>', page, re.DOTALL)
    assert block is not None
    return [html.unescape(line).strip() for line in re.findall(r'"line">(.*?)\n', block[0])]


@pytest.fixture
def ejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_of, "eject", lambda plan, reference: "print()\n")


@pytest.mark.usefixtures("ejected")
def test_without_a_gain_the_report_says_what_was_tried(tmp_path: Path, facts: TaskFacts) -> None:
    folder = tmp_path / "my runs"
    study_in(folder, facts.model_copy(update={"reference": REFERENCE}), None)
    for page in ((folder / "report.html").read_text(), rebuild(folder).read_text()):
        sweep = page[page.index('id="sweep"') :]
        assert all(text in sweep for text in ("0.03", "0.7125", "0.125", "0.8375", "12.5 s"))
        assert 'class="chosen"><th scope="row" class="number">0.125' in sweep
        assert "adam_one_cycle" in page
        # Nothing was confirmed, and yet what computed is known.
        assert 'id="environment"' in page and "numpy" in page
        assert "best plain SGD: rate 0.125" in page
        assert commands_in(page) == [
            "slipstream optimize 'my task.py' --seeds 3 --budget 90s --backends jax,torch "
            "--no-allow-precision",
            f"slipstream fit 'my task.py' --plan '{folder}/plan.toml'",
            f"python '{folder}/train.py'",
        ]


def test_a_script_that_could_not_be_written_is_not_named(
    tmp_path: Path, facts: TaskFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(plan: Plan, reference: str) -> str:
        raise TaskError("source", "none", "Write a file.")

    monkeypatch.setattr(report_of, "eject", refuse)
    tmp_path.joinpath("train.py").write_text("of an earlier sitting")
    study_in(tmp_path, facts, None)
    assert not any("train.py" in line for line in commands_in(rebuild(tmp_path).read_text()))


@pytest.mark.usefixtures("ejected")
def test_a_gain_can_be_taken_apart_and_crashed_runs_are_named(
    tmp_path: Path, facts: TaskFacts
) -> None:
    rates = {"as_given": 1.0, "tuned_baseline": 1.5, "winner": 4.0}
    records = {s: [make_record(seed, rate=r) for seed in range(3)] for s, r in rates.items()}
    for side, runs in records.items():
        for run in runs[: 2 if side == "winner" else 3]:
            write_run(run, tmp_path / "runs" / f"{side}_seed{run.seed}")
    confirmation = Confirmation(plan=TRIED, target=0.5, verdicts=judge_sides(records, 0.5))
    study_in(tmp_path, facts, confirmation)
    page = rebuild(tmp_path).read_text()
    assert any(shlex.split(line)[1] == "ablate" for line in commands_in(page))
    assert "1 run ended without a record" in page and "winner, seed 2" in page
