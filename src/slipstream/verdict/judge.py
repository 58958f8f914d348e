"""From pairs of runs to a verdict: the rules of decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from slipstream.errors import RecordError
from slipstream.verdict.interval import Interval, paired_interval
from slipstream.verdict.values import MIN_PAIRS, Bound, Outcome, Pair, Quality, Rules, Verdict


def judge(pairs: Sequence[Pair], rules: Rules, unpaired_seeds: Sequence[int] = ()) -> Verdict:
    """Return the verdict on at least two pairs.

    The ratio is exp(mean(log baseline - log candidate)), its interval `paired_interval` of the
    logarithms. The outcome is

    - "no_difference" if the whole interval lies within [1 / (1 + equivalence), 1 + equivalence],
    - "faster" if the interval lies above 1 and the ratio above 1 + equivalence,
    - "slower" if the interval lies below 1 and the ratio below 1 / (1 + equivalence),
    - "undecided" otherwise, and always with fewer than three pairs.

    A run that never met the target took longer than it was watched, so its time is replaced by
    its clock, which can only make it look better than it is:

    - If the candidate always met the target and the baseline did not, each pair's ratio is a
      lower bound of the true one. A lower confidence limit for the mean of such bounds is one
      for the mean of the true values, whatever their scatter; the upper limit is infinite.
      Between equal plans "faster" stays as rare as without the replacement, as both sides'
      clocks are alike.
    - The other way round the ratio is an upper bound and the lower limit is 0: a candidate that
      missed the target in a single seed is never called faster.
    - If both sides missed it, in the same seed or in different ones, neither limit holds.

    Raises:
        RecordError: There is no pair.

    Example:
        >>> def pair(seed, baseline, candidate):
        ...     return Pair(
        ...         seed=seed,
        ...         baseline_seconds=baseline,
        ...         candidate_seconds=candidate,
        ...         baseline_clock_seconds=60.0,
        ...         candidate_clock_seconds=60.0,
        ...     )
        >>> rules = Rules(monitor="val_accuracy", mode="max", target=0.97)
        >>> verdict = judge([pair(0, 9.0, 3.0), pair(1, 10.0, 3.2), pair(2, 9.5, 3.1)], rules)
        >>> verdict.outcome, round(verdict.ratio, 2)
        ('faster', 3.06)
        >>> judge([pair(0, math.inf, 3.0), pair(1, 50.0, 3.2), pair(2, 50.0, 3.1)], rules).bound
        'at_least'
    """
    if not pairs:
        raise RecordError(
            "at least two pairs of runs", "none", "Train both plans first.", code="SLP-645"
        )
    bound, ratio = _estimate(pairs, rules)
    outcome, reason = _decide(pairs, rules, ratio)
    return Verdict(
        rules=rules,
        outcome=outcome,
        reason=reason,
        ratio=None if math.isnan(ratio.mean) else ratio.mean,
        low=ratio.low,
        high=ratio.high,
        bound=bound,
        quality=_quality(pairs, rules),
        pairs=tuple(pairs),
        unpaired_seeds=tuple(unpaired_seeds),
    )


def _estimate(pairs: Sequence[Pair], rules: Rules) -> tuple[Bound, Interval]:
    baseline_missed, candidate_missed = _num_missed(pairs)
    baseline = [pair.baseline_at_least_seconds for pair in pairs]
    candidate = [pair.candidate_at_least_seconds for pair in pairs]
    # A run that failed before its clock ran bounds nothing.
    if (baseline_missed and candidate_missed) or min(*baseline, *candidate) <= 0:
        return "exact", Interval(math.nan, 0.0, math.inf)
    logs = paired_interval(
        [math.log(value) for value in baseline],
        [math.log(value) for value in candidate],
        confidence=rules.confidence,
        num_comparisons=rules.num_comparisons,
    )
    ratio = Interval(_exp(logs.mean), _exp(logs.low), _exp(logs.high))
    if baseline_missed:
        return "at_least", Interval(ratio.mean, ratio.low, math.inf)
    if candidate_missed:
        return "at_most", Interval(ratio.mean, 0.0, ratio.high)
    return "exact", ratio


def _exp(value: float) -> float:
    # Two wildly different pairs have an interval that overflows.
    return math.exp(value) if value < 700 else math.inf


def _decide(pairs: Sequence[Pair], rules: Rules, ratio: Interval) -> tuple[Outcome, str]:
    if len(pairs) < MIN_PAIRS:
        return "undecided", f"{MIN_PAIRS} paired seeds are needed, there are {len(pairs)}"
    if math.isnan(ratio.mean):
        return "undecided", _why_unknown(pairs)
    largest = 1 + rules.equivalence
    outcome: Outcome = "undecided"
    if ratio.low >= 1 / largest and ratio.high <= largest:
        outcome = "no_difference"
    elif ratio.low > 1 and ratio.mean > largest:
        outcome = "faster"
    elif ratio.high < 1 and ratio.mean < 1 / largest:
        outcome = "slower"
    return outcome, _why_open(rules, ratio) if outcome == "undecided" else ""


def _why_open(rules: Rules, ratio: Interval) -> str:
    if ratio.low <= 1 <= ratio.high:
        return "the interval includes 1"
    return f"the difference may be smaller than {100 * rules.equivalence:g} %"


def _num_missed(pairs: Sequence[Pair]) -> tuple[int, int]:
    baseline = sum(math.isinf(pair.baseline_seconds) for pair in pairs)
    candidate = sum(math.isinf(pair.candidate_seconds) for pair in pairs)
    return baseline, candidate


def _why_unknown(pairs: Sequence[Pair]) -> str:
    baseline, candidate = _num_missed(pairs)
    if baseline == candidate == len(pairs):
        return "neither side met the target"
    if baseline and candidate:
        return (
            f"the baseline missed the target in {baseline} and the candidate in {candidate} "
            f"of {len(pairs)} seeds"
        )
    return "a run failed before its clock ran"


def _quality(pairs: Sequence[Pair], rules: Rules) -> Quality | None:
    tested = [(pair.baseline_test, pair.candidate_test) for pair in pairs]
    validated = [(pair.baseline_validation, pair.candidate_validation) for pair in pairs]
    # One split for all pairs: the test split where no finished pair lacks it.
    on_test = _complete(tested)
    split: Literal["test", "validation"] = "validation"
    values = _complete(validated)
    if on_test and len(on_test) >= len(values):
        split, values = "test", on_test
    if len(values) < 2:
        return None
    baseline, candidate = [value[0] for value in values], [value[1] for value in values]
    interval = paired_interval(
        candidate,
        baseline,
        confidence=rules.confidence,
        num_comparisons=rules.num_comparisons,
    )
    return Quality(
        name=rules.monitor.removeprefix("val_"),
        split=split,
        mode=rules.mode,
        baseline=sum(baseline) / len(values),
        candidate=sum(candidate) / len(values),
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        num_pairs=len(values),
        outcome=_better_or_worse(interval, rules.mode, len(values)),
    )


def _complete(values: list[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    return [
        (baseline, candidate)
        for baseline, candidate in values
        if baseline is not None and candidate is not None
    ]


def _better_or_worse(
    interval: Interval, mode: str, num_pairs: int
) -> Literal["better", "worse", "undecided"]:
    if num_pairs < MIN_PAIRS or interval.low <= 0 <= interval.high:
        return "undecided"
    return "better" if (interval.low > 0) == (mode == "max") else "worse"
