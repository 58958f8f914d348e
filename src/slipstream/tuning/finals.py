"""The end of the Learn stage: the best few plans run on further seeds, and one of them wins."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.progress import Step
from slipstream.record import JsonModel, Record
from slipstream.tuning.context import TUNING_SEED, Context, Deadline

NUM_FINALISTS = 3
EXTRA_SEEDS = 2
# A run that came to nothing counts as one of so many times the longest: the mean stays finite.
WORST = 20

Score = Callable[[Record | Failed], float]


class Tried(JsonModel):
    """A trial that met the target, as the study's journal keeps it."""

    plan: Plan
    score: float
    clock_seconds: float
    gap: float


def run_finals(
    context: Context,
    tried: Sequence[Tried],
    score: Score,
    limit_seconds: float,
    deadline: Deadline,
) -> tuple[Tried | None, float]:
    """Run the best few on further seeds; returns the best of them and its mean score.

    Args:
        context: The study.
        tried: The trials that met the target.
        score: What a run is worth, in seconds.
        limit_seconds: Clock seconds that each run is given.
        deadline: The share of the budget; the first further seed is run whatever it says.
    """
    finalists = distinct(sorted(tried, key=lambda one: one.score))[:NUM_FINALISTS]
    scores = [[one.score] for one in finalists]
    for extra in range(1, EXTRA_SEEDS + 1):
        for one, known in zip(finalists, scores, strict=True):
            if deadline.left < one.clock_seconds and extra > 1:
                continue
            seeded = one.plan.edit({"seeds.seed": TUNING_SEED + extra})
            record = context.train(seeded, limit_seconds=limit_seconds)
            known.append(min(score(record), WORST * limit_seconds))
            text = f"finalist {one.plan.optimizer.name} on another seed: score {known[-1]:.2f}"
            context.listener(Step("learn", text, deadline.fraction))
    means = [statistics.fmean(known) for known in scores]
    if not means:
        return None, math.inf
    best = min(range(len(means)), key=means.__getitem__)
    return finalists[best], means[best]


def distinct(tried: Sequence[Tried]) -> list[Tried]:
    """One of each backend, recipe and epochs: finalists that are nearly the same teach nothing."""
    seen: dict[tuple[Any, ...], Tried] = {}
    for one in tried:
        plan = one.plan
        key = (plan.runtime.backend, plan.optimizer.name, plan.schedule.name, plan.duration.epochs)
        seen.setdefault(key, one)
    return list(seen.values())
