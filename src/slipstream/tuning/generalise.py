"""The Generalise stage: regularization and augmentation, where overfitting asks for it."""

from __future__ import annotations

import math
import statistics

from slipstream.errors import PlanError
from slipstream.measure.manager import Failed
from slipstream.plan import Plan, Value
from slipstream.progress import Step
from slipstream.record import JsonModel
from slipstream.techniques import apply_all, get
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import TUNING_SEED, Context, Deadline
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.objective import score

# Training ahead of validation by more than this many tolerances is overfitting.
GAP = 2.0
NUM_SEEDS = 2
CANDIDATES: tuple[tuple[str, dict[str, Value]], ...] = (
    ("weight_decay", {}),
    ("label_smoothing", {}),
    ("dropout", {}),
    ("shift", {"data.cache": "host", "augmentation.shift": 1}),
    ("ema", {}),
)


class GeneraliseRow(JsonModel):
    """One technique on top of the plan: its mean score and mean best value."""

    technique: str
    score: float
    best_value: float | None
    kept: bool


class GeneraliseResult(JsonModel):
    """What the stage found; `reason` says why it was left out, where it was."""

    plan: Plan
    rows: tuple[GeneraliseRow, ...] = ()
    reason: str = ""


def generalise(
    context: Context, baselines: Baselines, learned: LearnResult, deadline: Deadline
) -> GeneraliseResult:
    """Try regularization one by one, if training is ahead of validation by enough.

    A technique is kept where the mean score over the tuning seeds is smaller with it.

    Args:
        context: The study.
        baselines: What is to be beaten.
        learned: The plan so far.
        deadline: The share of the budget.
    """
    plan = learned.plan
    assert plan is not None
    if learned.gap < GAP:
        reason = f"training is ahead of validation by {max(0.0, learned.gap):.1f} standard errors"
        return GeneraliseResult(plan=plan, reason=f"{reason}: no overfitting to mend")
    rows: list[GeneraliseRow] = []
    best = learned.score
    for name, changes in CANDIDATES:
        if deadline.left < 0:
            break
        candidate = _with(context, plan, name, changes)
        if candidate is None:
            continue
        value, quality = _mean_score(context, baselines, candidate, deadline)
        kept = value < best
        rows.append(GeneraliseRow(technique=name, score=value, best_value=quality, kept=kept))
        verb = "kept" if kept else "no gain"
        text = f"{name}: {verb} (score {value:.2f} against {best:.2f})"
        context.listener(Step("generalise", text, deadline.fraction))
        if kept:
            plan, best = candidate, value
    return GeneraliseResult(plan=plan, rows=tuple(rows))


def _with(context: Context, plan: Plan, name: str, changes: dict[str, Value]) -> Plan | None:
    """The plan with a technique, or None where it does not apply or is there already."""
    try:
        if get(name).applies(plan, context.facts) is not None:
            return None
        changed = apply_all(
            [name], plan.adapt({"data.cache": "host"} if changes else {}), context.facts
        )
        changed = changed.adapt(changes)
    except PlanError:
        return None
    return None if changed == plan else changed


def _mean_score(
    context: Context, baselines: Baselines, plan: Plan, deadline: Deadline
) -> tuple[float, float | None]:
    scores: list[float] = []
    values: list[float] = []
    cap = max(5.0, deadline.seconds / 2)
    for extra in range(NUM_SEEDS):
        record = context.train(plan.edit({"seeds.seed": TUNING_SEED + extra}), limit_seconds=cap)
        if isinstance(record, Failed):
            return math.inf, None
        scores.append(score(context, record, baselines.target, baselines.quality, cap))
        if record.best_value is not None:
            values.append(record.best_value)
    return statistics.fmean(scores), statistics.fmean(values) if values else None
