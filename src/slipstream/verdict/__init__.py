"""Verdict: a statistical comparison of two sets of records. "Undecided" is a legal answer."""

from slipstream.verdict.ablation_row import AblationRow, correct
from slipstream.verdict.compare import compare
from slipstream.verdict.interval import Interval, paired_interval
from slipstream.verdict.judge import judge
from slipstream.verdict.payback import payback
from slipstream.verdict.values import Pair, Quality, Rules, Verdict

__all__ = [
    "AblationRow",
    "Interval",
    "Pair",
    "Quality",
    "Rules",
    "Verdict",
    "compare",
    "correct",
    "judge",
    "paired_interval",
    "payback",
]
