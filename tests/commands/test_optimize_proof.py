"""What the proof of a study takes, and what is said where the budget is too short for it."""

import pytest
from commands_help import make_record

from slipstream.cli import summaries
from slipstream.cli.running import Manner
from slipstream.commands._optimize_proof import ProofTime
from slipstream.commands._optimize_text import confirm_text, cut_off
from slipstream.commands._optimize_values import Confirmation, OptimizeResult
from slipstream.plan import Plan
from slipstream.tuning.confirm import judge_sides


@pytest.mark.parametrize(
    ("start", "full", "budget", "begins", "is_cut"),
    [
        (6.0, 4.0, 300.0, True, False),
        (6.0, 40.0, 300.0, True, True),
        (6.0, 4.0, 60.0, False, False),
        (0.1, 1.0, 5.0, True, False),
    ],
)
def test_a_proof_that_cannot_fit_is_not_begun(start, full, budget, begins, is_cut):
    proof = ProofTime(3, start, full, budget)
    assert (proof.why_not() == "") == begins
    # In the budget that is named nothing is cut, and the proof fits.
    enough = ProofTime(3, start, full, 60.0 * proof.enough_minutes)
    assert enough.warning() == "" and enough.limit_seconds >= full
    assert ("cannot" in proof.warning() or "no gain can be proven" in proof.warning()) != begins
    assert ("will not be known" in proof.warning()) == is_cut
    if begins:
        assert proof.seconds <= max(0.6 * budget, 15.0)


def test_runs_that_were_cut_have_no_figure_of_quality(tmp_path, capsys):
    sides = {
        side: [make_record(seed, rate=rate, outcome=outcome) for seed in range(3)]
        for side, rate, outcome in (
            ("as_given", 1.0, "limit_reached"),
            ("tuned_baseline", 1.5, "limit_reached"),
            ("winner", 4.0, "completed"),
        )
    }
    verdicts = judge_sides(sides, 0.5)
    cut = cut_off(sides, 10.0)
    told = Confirmation(plan=Plan(), target=0.5, verdicts=verdicts, cut_off=cut)
    text = confirm_text(told)
    assert "points" not in text and "accuracy +" not in text
    assert "as given: 3 of 3 runs were ended after 10 s, at 45 % of their epochs" in text
    result = OptimizeResult("gain", "Said.", Plan(), 0.5, verdicts, 9.0, 3.0, tmp_path, cut_off=cut)
    summaries.of_optimize(result, "digits", Manner())
    shown = capsys.readouterr().out
    assert "points" not in shown and "their final quality is not known" in shown


def test_without_a_proof_the_next_step_is_one(tmp_path, capsys):
    (tmp_path / "tried.toml").touch()
    result = OptimizeResult("no_gain", "No gain is claimed.", Plan(), 0.5, {}, 9.0, 3.0, tmp_path)
    summaries.of_optimize(result, "digits", Manner())
    folder = str(tmp_path)
    assert capsys.readouterr().out.endswith(
        f"Next: slipstream compare digits {folder}/plan.toml {folder}/tried.toml\n"
    )
