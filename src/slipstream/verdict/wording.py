"""Verdicts in words."""

from __future__ import annotations

import math

from slipstream.verdict.values import MIN_PAIRS, Quality, Verdict

# Metrics that are shares of examples: their differences are read in percentage points.
_SHARES = ("accuracy", "precision", "recall")


def sentence(verdict: Verdict) -> str:
    """Return a verdict as one sentence for people, without a full stop."""
    text = _of_time(verdict)
    if verdict.quality is not None:
        text += f", {of_quality(verdict.quality)}"
        if verdict.quality.num_pairs < verdict.num_pairs:
            text += f" in {verdict.quality.num_pairs} of {verdict.num_pairs} seeds"
    return text


def of_quality(quality: Quality) -> str:
    """Return a difference in quality with its interval, like "test accuracy +0.2 ..."."""
    share = any(name in quality.name for name in _SHARES)
    unit = " percentage points" if share else ""
    difference, low, high, worst = (
        _signed(value, share)
        for value in (quality.difference, quality.low, quality.high, quality.not_worse_than)
    )
    text = f"{quality.split} {quality.name} {difference}{unit} ({low} to {high})"
    if quality.outcome == "undecided" and quality.num_pairs >= MIN_PAIRS:
        lower = "lower" if quality.mode == "max" else "higher"
        text += f", not {lower} by more than {worst.removeprefix('+')}{unit}"
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


def _factor(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1.95 else f"{value:.2f}"


def _signed(value: float, is_share: bool) -> str:
    text = f"{100 * value:+.2f}" if is_share else f"{value:+.3g}"
    # Zero has no sign: -0.00 is no loss.
    return text if float(text) else text[1:]
