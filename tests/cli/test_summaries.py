"""What commands print at their end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.cli import summaries
from slipstream.cli.running import Manner
from slipstream.commands.compare import CompareResult
from slipstream.commands.optimize import OptimizeResult
from slipstream.plan import Plan
from slipstream.record import Failure
from slipstream.verdict import AblationRow, Pair, Rules, Verdict, judge

RULES = Rules(monitor="val_accuracy", mode="max", target=0.97)


def verdict(ratio: float, *, missed: bool = False, tested: bool = True) -> Verdict:
    pairs = [
        Pair(
            seed=seed,
            baseline_seconds=math.inf if missed else (30.0 + seed) * ratio,
            candidate_seconds=30.0 + seed,
            baseline_clock_seconds=100.0 * ratio,
            candidate_clock_seconds=100.0,
            baseline_test=0.96 if tested else None,
            candidate_test=0.97 + seed / 1000 if tested else None,
        )
        for seed in range(3)
    ]
    return judge(pairs, RULES)


def optimized(folder: Path, *, gain: bool = True) -> OptimizeResult:
    for name in ("report.html", "plan.toml"):
        (folder / name).touch()
    return OptimizeResult(
        outcome="gain" if gain else "no_gain",
        headline="A gain against [both] baselines." if gain else "No gain found.",
        plan=Plan(),
        target=0.97,
        verdicts={"as_given": verdict(4.0), "tuned_baseline": verdict(2.0, missed=True)},
        tuning_seconds=250.0,
        payback=12.0 if gain else math.inf,
        folder=folder,
    )


def test_a_study_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summaries.of_optimize(optimized(tmp_path), "digits", Manner())
    text = capsys.readouterr().out
    assert "A gain against [both] baselines." in text
    (given,) = [line for line in text.splitlines() if line.startswith("as given")]
    assert given.split()[2:9] == ["2", "min", "04", "s", "31.0", "s", "4.00x"]
    (tuned,) = [line for line in text.splitlines() if line.startswith("tuned baseline")]
    assert "never" in tuned
    assert "≥" in tuned
    assert "+1.1 points" in given
    assert "4 min 10 s, paid for after 12 trainings" in text
    assert f"report        {tmp_path / 'report.html'}" in text
    # The script could not be written: it is not promised.
    assert "train.py" not in text
    assert f"Next: slipstream fit digits --plan {tmp_path / 'plan.toml'} --test" in text


def test_a_test_split_that_is_not_there_is_not_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = replace(optimized(tmp_path), verdicts={"as_given": verdict(4.0, tested=False)})
    summaries.of_optimize(result, "digits", Manner())
    text = capsys.readouterr().out
    assert "Next: slipstream fit" in text and "--test" not in text


def test_names_in_commands_are_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my runs"
    folder.mkdir()
    summaries.of_optimize(optimized(folder), "my task.py", Manner())
    text = capsys.readouterr().out
    assert f"Next: slipstream fit 'my task.py' --plan '{folder}/plan.toml' --test" in text


def test_no_gain_is_not_paid_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summaries.of_optimize(optimized(tmp_path, gain=False), "digits", Manner())
    assert "not paid back" in capsys.readouterr().out


def test_a_study_as_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summaries.of_optimize(optimized(tmp_path, gain=False), "digits", Manner(json=True))
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["command"], told["outcome"]) == ("result", "optimize", "no_gain")
    assert told["payback_trainings"] is None
    assert told["verdicts"]["as_given"]["ratio"] == pytest.approx(4.0)
    assert Plan.from_dict(told["plan"]) == Plan()


@pytest.mark.parametrize(("ratio", "plan"), [(4.0, "b.toml"), (0.25, "a.toml"), (1.0, "a.toml")])
def test_a_comparison_names_the_better_plan(
    ratio: float, plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = CompareResult(
        verdict=verdict(ratio),
        labels=("a", "b"),
        target=0.97,
        target_from="the task's own",
        records=((), ()),
        folder=tmp_path,
    )
    summaries.of_compare(result, "digits", (Path("a.toml"), Path("b.toml")), Manner())
    text = capsys.readouterr().out
    assert f"--plan {plan} --test" in text
    assert "b against a: " in text


def test_an_ablation_shows_failures_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        AblationRow(technique="warmup", direction="taken_out", verdict=verdict(2.0)),
        AblationRow(technique="ema", direction="put_alone", failure="it [crashed]"),
    ]
    summaries.of_ablate(rows, tmp_path, Manner())
    text = capsys.readouterr().out
    assert "2 techniques" in text
    assert "2.00x" in text
    assert "it [crashed]" in text


@pytest.mark.parametrize(("kind", "goes_on"), [("Diverged", False), ("ValueError", True)])
def test_resuming_is_advised_where_it_helps(
    kind: str, goes_on: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summaries.of_failure(Failure(kind=kind, message="Too much. [SLP-501]"), tmp_path)
    told = capsys.readouterr().err
    assert ("--resume goes on" in told) is goes_on
    assert ("another folder" in told) is not goes_on and str(tmp_path) in told
