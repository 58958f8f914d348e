"""The Generalise stage: what was asked for; and regularization, where overfitting asks for it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pydantic import Field

from slipstream.errors import PlanError
from slipstream.measure.manager import Failed
from slipstream.plan import Plan, Value
from slipstream.progress import Step
from slipstream.record import JsonModel
from slipstream.techniques import apply_all, get
from slipstream.tuning.asked import plans_with
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
    """One technique on top of the plan: its mean score and mean best value.

    `changes` are the keys that it set; `reason` says why it was not tried, where it was not.
    """

    technique: str
    score: float
    best_value: float | None
    kept: bool
    changes: dict[str, Value] = Field(default_factory=dict)
    reason: str = ""


class GeneraliseResult(JsonModel):
    """What the stage found; `reason` says why it was left out, where it was."""

    plan: Plan
    rows: tuple[GeneraliseRow, ...] = ()
    reason: str = ""


def generalise(
    context: Context,
    baselines: Baselines,
    learned: LearnResult,
    deadline: Deadline,
    asked: Sequence[str] = (),
) -> GeneraliseResult:
    """Try techniques one by one: those asked for, and regularization where it overfits.

    Regularization is tried if training is ahead of validation by enough. A technique is kept
    where the mean score over the tuning seeds is smaller with it.

    Args:
        context: The study.
        baselines: What is to be beaten.
        learned: The plan so far.
        deadline: The share of the budget.
        asked: Techniques that are tried in any case, each with some values of its search.
    """
    trial = _Trial(context, baselines, learned, deadline)
    for name in asked:
        trial.ask(name)
    if learned.gap < GAP:
        reason = f"training is ahead of validation by {max(0.0, learned.gap):.1f} standard errors"
        return trial.result(f"{reason}: no overfitting to mend")
    for name, changes in CANDIDATES:
        if deadline.left < 0:
            break
        candidate = _with(context, trial.plan, name, changes)
        if name not in asked and candidate is not None:
            trial.judge(name, (candidate,))
    return trial.result()


class _Trial:
    """The plan so far and its score, and what was tried on top of it."""

    def __init__(
        self, context: Context, baselines: Baselines, learned: LearnResult, deadline: Deadline
    ) -> None:
        assert learned.plan is not None
        self._context = context
        self._baselines = baselines
        self._deadline = deadline
        self._best = learned.score
        self._rows: list[GeneraliseRow] = []
        self.plan = learned.plan

    def ask(self, name: str) -> None:
        """Try a technique that was asked for, or say why not."""
        try:
            plans = plans_with(name, self.plan, self._context.facts)
            reason = "" if plans else "it is in the plan already"
        except PlanError as error:
            plans, reason = (), error.came
        if plans and self._deadline.left < 0:
            plans, reason = (), "no time was left"
        if plans:
            self.judge(name, plans)
            return
        row = GeneraliseRow(
            technique=name, score=math.inf, best_value=None, kept=False, reason=reason
        )
        self._rows.append(row)
        self._say(f"{name}: not tried: {reason}")

    def judge(self, name: str, plans: Sequence[Plan]) -> None:
        """Train plans with a technique, as far as there is time, and keep the best if it helps."""
        before = self.plan
        tried: list[tuple[float, float | None, Plan]] = []
        for plan in plans:
            if tried and self._deadline.left < 0:
                break
            value, quality = _mean_score(self._context, self._baselines, plan, self._deadline)
            tried.append((value, quality, plan))
        value, quality, plan = min(tried, key=lambda one: one[0])
        kept = value < self._best
        changes = {key: new for key, (new, _) in plan.difference(before).items()}
        row = GeneraliseRow(
            technique=name, score=value, best_value=quality, kept=kept, changes=changes
        )
        self._rows.append(row)
        verb = "kept" if kept else "no gain"
        self._say(f"{name}: {verb} (score {value:.2f} against {self._best:.2f})")
        if kept:
            self.plan, self._best = plan, value

    def result(self, reason: str = "") -> GeneraliseResult:
        """Return what was found."""
        return GeneraliseResult(plan=self.plan, rows=tuple(self._rows), reason=reason)

    def _say(self, text: str) -> None:
        self._context.listener(Step("generalise", text, self._deadline.fraction))


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
