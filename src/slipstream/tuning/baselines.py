"""The two baselines: the task as given, and plain SGD with momentum at its best rate."""

from __future__ import annotations

import math
from typing import TypeGuard

from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.progress import Step
from slipstream.record import JsonModel, Record
from slipstream.tuning.confirm import AS_GIVEN, TUNED, WINNER, cut_in_words
from slipstream.tuning.context import TUNING_SEED, Context, Deadline
from slipstream.tuning.rates import find_range

MOMENTUM = 0.9
# Around what the range test suggests; the fallback spans the rates that are usual for SGD.
FACTORS = (1.0, 3.0, 0.3)
FALLBACK_RATES = (0.03, 0.1, 0.01)


class SweepRow(JsonModel):
    """One learning rate of the sweep: what it reached, and when it met the target."""

    rate: float
    best_value: float | None
    seconds_to_target: float
    is_cut: bool = False


class Baselines(JsonModel):
    """Both baselines, and what there is to be beaten.

    Args:
        as_given: The task's own plan.
        tuned: Plain SGD with momentum at the best rate, else as given.
        sweep: All rates that were tried.
        target: The task's target, or what the tuned baseline reached.
        quality: The best value of the monitor that either baseline reached.
        is_cut: Whether that run was ended before its plan did: it is no quality to be told.
    """

    as_given: Plan
    tuned: Plan
    sweep: tuple[SweepRow, ...]
    target: float
    quality: float
    is_cut: bool = False

    def against(self, plan: Plan) -> dict[str, Plan]:
        """Return both baselines and a plan as the sides of a race."""
        return {AS_GIVEN: self.as_given, TUNED: self.tuned, WINNER: plan}


def find_baselines(
    context: Context, as_given: Plan, fast: Plan, deadline: Deadline
) -> Baselines | None:
    """Sweep the rate of plain SGD, and see what the baselines reach.

    Args:
        context: The study.
        as_given: The task's own plan.
        fast: The task's own plan on the fastest float32 runtime: the sweep runs there, as the
            best rate does not depend on what computes it.
        deadline: The share of the budget.

    Returns:
        The baselines, or None when not one training gave a finite value.
    """
    facts = context.facts
    limit = deadline.seconds / (len(FACTORS) + 1)
    seeded = fast.edit({"seeds.seed": TUNING_SEED})
    given = context.train(seeded, limit_seconds=limit)
    first = _row(context, given, given.plan["schedule"]["peak"]) if _has_value(given) else None
    if first is not None:
        text = f"as given: {_in_words(context, given)}"
        context.listener(Step("baselines", text, deadline.fraction))
    rows: list[SweepRow] = []
    for rate in _rates(context, seeded):
        if rows and deadline.left < 0:
            break
        record = context.train(seeded.adapt(_sgd(rate)), limit_seconds=limit)
        rows.append(_row(context, record, rate))
        text = f"SGD with momentum at {rate:.3g}: {_in_words(context, record)}"
        context.listener(Step("baselines", text, deadline.fraction))
    best = _best(context, rows)
    strongest = _best_of(context, [row for row in (first, best) if row is not None])
    if strongest is None or strongest.best_value is None:
        return None
    quality = strongest.best_value
    tuned_value = best.best_value if best and best.best_value is not None else quality
    return Baselines(
        as_given=as_given,
        tuned=as_given.adapt(_sgd(best.rate if best else FALLBACK_RATES[0])),
        sweep=tuple(rows),
        target=facts.target if facts.target is not None else tuned_value,
        quality=quality,
        is_cut=strongest.is_cut,
    )


def _rates(context: Context, fast: Plan) -> list[float]:
    found = find_range(context, fast.adapt(_sgd(0.01)))
    if found is None:
        return list(FALLBACK_RATES)
    return [found.suggested * factor for factor in FACTORS]


def _has_value(record: Record | Failed) -> TypeGuard[Record]:
    return isinstance(record, Record) and record.best_value is not None


def _row(context: Context, record: Record | Failed, rate: float) -> SweepRow:
    if isinstance(record, Failed):
        return SweepRow(rate=rate, best_value=None, seconds_to_target=math.inf)
    target = context.facts.target
    return SweepRow(
        rate=rate,
        best_value=record.best_value,
        seconds_to_target=math.inf if target is None else record.seconds_to(target),
        is_cut=record.is_cut,
    )


def _in_words(context: Context, record: Record | Failed) -> str:
    """Return what a baseline came to; of one that was cut, when it met the target."""
    if not _has_value(record):
        return "nothing"
    if not record.is_cut:
        return f"best {record.monitor} {record.best_value:.4f}"
    target = context.facts.target
    seconds = math.inf if target is None else record.seconds_to(target)
    met = f"; the target was met after {seconds:.1f} s" if math.isfinite(seconds) else ""
    return cut_in_words(record) + met


def _best(context: Context, rows: list[SweepRow]) -> SweepRow | None:
    """The row that met the target first; where none did, the one that came closest."""
    sooner = min((row.seconds_to_target for row in rows), default=math.inf)
    return _best_of(context, [row for row in rows if row.seconds_to_target == sooner])


def _best_of(context: Context, rows: list[SweepRow]) -> SweepRow | None:
    """The row with the best value."""
    usable = [row for row in rows if row.best_value is not None]
    sign = 1.0 if context.facts.mode == "min" else -1.0
    return min(usable, key=lambda row: sign * (row.best_value or 0.0), default=None)


def _sgd(rate: float) -> dict[str, str | float | bool]:
    return {
        "optimizer.name": "sgd",
        "optimizer.momentum": MOMENTUM,
        "optimizer.nesterov": False,
        "optimizer.weight_decay": 0.0,
        "optimizer.ema": 0.0,
        "schedule.name": "constant",
        "schedule.warmup": 0.0,
        "schedule.peak": rate,
        "batch.rate_scaling": "none",
        "clipping.global_norm": 0.0,
    }
