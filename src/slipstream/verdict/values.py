"""The values a verdict is made of; each reads and writes JSON."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from slipstream.record import JsonModel

Outcome = Literal["faster", "slower", "no_difference", "undecided"]
Bound = Literal["exact", "at_least", "at_most"]
Mode = Literal["min", "max"]

# With fewer pairs nothing is decided, however clear it looks.
MIN_PAIRS = 3


class Rules(JsonModel):
    """What was agreed before the comparison.

    Args:
        monitor: The watched metric, like "val_accuracy".
        mode: Whether a smaller or a larger value of it is better.
        target: The value of it that ends the race.
        confidence: Of all intervals together.
        num_comparisons: How many comparisons share the confidence (Bonferroni).
        equivalence: The smallest relevant effect: 0.05 means that a ratio between 1/1.05 and
            1.05 is no difference.
    """

    monitor: str
    mode: Mode
    target: float
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    num_comparisons: Annotated[int, Field(ge=1)] = 1
    equivalence: Annotated[float, Field(gt=0)] = 0.05


class Pair(JsonModel):
    """Two runs with the same seed, one a side.

    `*_seconds` is the time to the target, infinite where it was never met; `*_clock_seconds` is
    how long the run was watched; `*_test` and `*_validation` are the held-out values, None where
    a run has none.
    """

    seed: int
    baseline_seconds: float
    candidate_seconds: float
    baseline_clock_seconds: float
    candidate_clock_seconds: float
    baseline_test: float | None = None
    candidate_test: float | None = None
    baseline_validation: float | None = None
    candidate_validation: float | None = None

    @property
    def baseline_at_least_seconds(self) -> float:
        """The time to the target, or how long the run was watched where it never met it."""
        return _or_clock(self.baseline_seconds, self.baseline_clock_seconds)

    @property
    def candidate_at_least_seconds(self) -> float:
        """The time to the target, or how long the run was watched where it never met it."""
        return _or_clock(self.candidate_seconds, self.candidate_clock_seconds)


def _or_clock(seconds: float, clock_seconds: float) -> float:
    return clock_seconds if math.isinf(seconds) else seconds


class Quality(JsonModel):
    """How the held-out quality of the candidate differs from the baseline's.

    `difference`, `low` and `high` are candidate - baseline in the metric's own unit.
    """

    name: str
    split: Literal["test", "validation"]
    mode: Mode
    baseline: float
    candidate: float
    difference: float
    low: float
    high: float
    num_pairs: int
    outcome: Literal["better", "worse", "undecided"]

    @property
    def not_worse_than(self) -> float:
        """By how much, at most, the candidate is worse: the interval's bad end; 0 if better."""
        return max(0.0, -self.low if self.mode == "max" else self.high)


class Verdict(JsonModel):
    """Whether a candidate reaches the target sooner than a baseline.

    `ratio` is the baseline's time over the candidate's (geometric mean over the pairs), above 1
    where the candidate is faster; None where neither times nor bounds tell it. `bound` says that
    it is a limit only, as some runs never met the target. `reason` says why it is undecided.
    """

    rules: Rules
    outcome: Outcome
    reason: str = ""
    ratio: float | None
    low: float
    high: float
    bound: Bound
    quality: Quality | None
    pairs: tuple[Pair, ...]
    unpaired_seeds: tuple[int, ...] = ()

    @property
    def num_pairs(self) -> int:
        """How many seeds were compared."""
        return len(self.pairs)

    @property
    def num_baseline_missed(self) -> int:
        """In how many seeds the baseline never met the target."""
        return sum(math.isinf(pair.baseline_seconds) for pair in self.pairs)

    @property
    def num_candidate_missed(self) -> int:
        """In how many seeds the candidate never met the target."""
        return sum(math.isinf(pair.candidate_seconds) for pair in self.pairs)

    def sentence(self) -> str:
        """Return the verdict as one sentence for people, without a full stop."""
        from slipstream.verdict.wording import sentence

        return sentence(self)
