"""What tuning cost, against what it saves."""

from __future__ import annotations

import math

from slipstream.verdict.values import Verdict


def payback(tuning_seconds: float, verdict: Verdict) -> float:
    """Return after how many trainings to the target tuning has paid for itself.

        tuning_seconds / (mean baseline seconds - mean candidate seconds), rounded up

    Infinite where the candidate was not shown to be faster. A baseline that never met the target
    counts with the time it was watched, so the number is then an upper bound.

    Example:
        >>> from slipstream.verdict import Pair, Rules, judge
        >>> pairs = [
        ...     Pair(
        ...         seed=seed,
        ...         baseline_seconds=30.0 + seed,
        ...         candidate_seconds=10.0 + seed,
        ...         baseline_clock_seconds=60.0,
        ...         candidate_clock_seconds=60.0,
        ...     )
        ...     for seed in range(3)
        ... ]
        >>> rules = Rules(monitor="val_accuracy", mode="max", target=0.9)
        >>> payback(300.0, judge(pairs, rules))
        15.0
    """
    if verdict.outcome != "faster":
        return math.inf
    saved = [
        pair.baseline_at_least_seconds - pair.candidate_at_least_seconds for pair in verdict.pairs
    ]
    mean_saved = math.fsum(saved) / len(saved)
    # A geometric mean above 1 may go with an arithmetic saving of nothing.
    return float(math.ceil(tuning_seconds / mean_saved)) if mean_saved > 0 else math.inf
