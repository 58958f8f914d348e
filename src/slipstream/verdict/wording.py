"""Verdicts in words."""

from __future__ import annotations

import math

from slipstream.verdict.values import Quality, Verdict

# Metrics that are shares of examples: their differences are read in percentage points.
_SHARES = ("accuracy", "precision", "recall")


def sentence(verdict: Verdict) -> str:
    """Return a verdict as one sentence for people, without a full stop."""
    text = _of_time(verdict)
    if verdict.quality is not None:
        text += f", {of_quality(verdict.quality)}"
    return text


def of_quality(quality: Quality) -> str:
    """Return a difference in quality with its interval, like "test accuracy +0.2 ..."."""
    scale, unit = (100.0, " percentage points") if _is_share(quality.name) else (1.0, "")
    values = [_signed(scale * x) for x in (quality.difference, quality.low, quality.high)]
    text = f"{quality.split} {quality.name} {values[0]}{unit} ({values[1]} to {values[2]})"
    if quality.outcome == "undecided" and quality.num_pairs >= 3:
        lower = "lower" if quality.mode == "max" else "higher"
        text += f", not {lower} by more than {_plain(scale * quality.not_worse_than)}{unit}"
    return text


def _of_time(verdict: Verdict) -> str:
    goal = f"to {verdict.rules.monitor} {verdict.rules.target:g}"
    match verdict.outcome:
        case "faster":
            return f"{_times(verdict, 'faster')} {goal} ({_details(verdict)})"
        case "slower":
            return f"{_times(verdict, 'slower')} {goal} ({_details(verdict)})"
        case "no_difference":
            largest = f"{100 * verdict.rules.equivalence:g} %"
            return f"no difference larger than {largest} in time {goal} ({_details(verdict)})"
        case "undecided":
            return f"undecided in time {goal}: {verdict.reason} ({_details(verdict)})"


def _times(verdict: Verdict, word: str) -> str:
    assert verdict.ratio is not None
    at_least = "" if verdict.bound == "exact" else "at least "
    ratio = verdict.ratio if word == "faster" else 1 / verdict.ratio
    return f"{at_least}{_factor(ratio)}x {word}"


def _details(verdict: Verdict) -> str:
    parts = [_interval(verdict), f"{verdict.num_pairs} seeds", *_missed(verdict)]
    if verdict.outcome in ("no_difference", "undecided") and verdict.ratio is not None:
        parts.insert(0, f"ratio {verdict.bound.replace('_', ' ')} {_factor(verdict.ratio)}")
    return ", ".join(part.replace("ratio exact", "ratio") for part in parts if part)


def _interval(verdict: Verdict) -> str:
    if verdict.ratio is None:
        return ""
    low, high = verdict.low, verdict.high
    if verdict.outcome == "slower":
        low, high = 1 / high, 1 / low if low else math.inf
    limits = f"{_factor(low)} to {_factor(high)}"
    if math.isinf(high):
        limits = f"from {_factor(low)}"
    elif low == 0:
        limits = f"up to {_factor(high)}"
    text = f"{100 * verdict.rules.confidence:g} % interval {limits}"
    if verdict.rules.num_comparisons > 1:
        text += f" corrected for {verdict.rules.num_comparisons} comparisons"
    return text


def _missed(verdict: Verdict) -> list[str]:
    sides = (
        ("baseline", verdict.num_baseline_missed),
        ("candidate", verdict.num_candidate_missed),
    )
    return [
        f"the {side} missed the target in {count} of {verdict.num_pairs}"
        for side, count in sides
        if count
    ]


def _is_share(name: str) -> bool:
    return any(share in name for share in _SHARES)


def _factor(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def _signed(value: float) -> str:
    # Without a sign on zero: -0.0 is no loss.
    text = f"{value:+.2g}" if abs(value) < 10 else f"{value:+.0f}"
    return text if float(text) else "0"


def _plain(value: float) -> str:
    return _signed(value).removeprefix("+")
