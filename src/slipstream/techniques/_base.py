"""Technique: a named, pure edit of a plan, and the pieces that techniques are written with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slipstream.errors import PlanError
from slipstream.plan import Plan, Value, parts
from slipstream.task import TaskFacts

Edit = Callable[[Plan, TaskFacts], Plan]
Applies = Callable[[Plan, TaskFacts], str | None]
Found = Callable[[Plan, Plan], bool]
Changes = Mapping[str, Value]

# An optimizer's constants mean nothing to another optimizer: they change hands as one.
OPTIMIZER_KEYS = (
    "optimizer.name",
    "optimizer.momentum",
    "optimizer.nesterov",
    "optimizer.beta_1",
    "optimizer.beta_2",
    "optimizer.rho",
    "optimizer.trust",
    "optimizer.epsilon",
)
SCHEDULE_KEYS = (
    "schedule.name",
    "schedule.floor",
    "schedule.decay_rate",
    "schedule.decay_every",
    "schedule.staircase",
    "schedule.power",
    "schedule.decay_last",
    "schedule.decay_shape",
    "schedule.pieces",
    "schedule.cycles",
)
# Bounds on the gradient: a plan has one of them, or none.
CLIPPING_BOUNDS = (
    "clipping.value",
    "clipping.norm",
    "clipping.global_norm",
    "clipping.adaptive",
    "clipping.quantile",
)
CLIPPING_KEYS = (*CLIPPING_BOUNDS, "clipping.window")


@dataclass(frozen=True)
class Choice:
    """Values that tuning may try, in no order."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """Numbers that tuning may try, both ends included; `log` spreads them by ratio."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Technique:
    """A named, pure edit `Plan -> Plan`.

    Args:
        name: Short name, the same as its file's.
        title: Name for people.
        summary: What it does, one sentence.
        formula: Plain text; "none: " and the reason where it computes nothing anew.
        helps: When it helps, one sentence.
        hurts: When it hurts, one sentence.
        reference: Authors, title, year, arXiv number or DOI.
        keys: The plan keys that it owns.
        edit: Makes the plan that has it, with sensible values; pure.
        applies: Returns None where it applies, else the reason why not.
        after: Names of techniques, or of sets of alternatives (see one_of), that must come before
            it when both are in a recipe.
        clashes: Names that it must not be combined with.
        search: What tuning may try, by plan key.
        one_of: The set of alternatives that it belongs to; a plan holds one of each set.
        along: Further keys of its set: they go along when it is taken out or put in.
        found: Whether a plan holds it where a baseline does not; None: any of its keys differs.
        rescale: From (before, after), keys of others that follow when its own keys change.
        cost: What it takes in time and memory, one or two sentences.
    """

    name: str
    title: str
    summary: str
    formula: str
    helps: str
    hurts: str
    reference: str
    keys: tuple[str, ...]
    edit: Edit
    applies: Applies
    after: tuple[str, ...] = ()
    clashes: tuple[str, ...] = ()
    search: Mapping[str, Choice | Range] = field(default_factory=dict)
    one_of: str = ""
    along: tuple[str, ...] = ()
    found: Found | None = None
    rescale: Callable[[Plan, Plan], Changes] | None = None
    cost: str = ""

    def apply(self, plan: Plan, task: TaskFacts) -> Plan:
        """Return the plan with this technique; raises PlanError where it does not apply."""
        reason = self.applies(plan, task)
        if reason is not None:
            needs_loop = "runtime.loop = 'keras'" in reason
            mend = "add 'own_loop'" if needs_loop else "change what it needs"
            raise PlanError(
                f"a plan and a task that '{self.name}' applies to",
                f"'{task.name}', where {reason}",
                f"Leave '{self.name}' out, or {mend}.",
                code="SLP-155",
            )
        return self.edit(plan, task)

    def is_in(self, plan: Plan, baseline: Plan) -> bool:
        """Whether the plan holds it and the baseline does not, or with other values."""
        if self.found is not None:
            return self.found(plan, baseline)
        return any_differs(plan, baseline, self.moved)

    @property
    def moved(self) -> tuple[str, ...]:
        """The keys that change hands when it is taken out or put in."""
        return tuple(dict.fromkeys(self.keys + self.along))


def always(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    """Applies to every plan and task."""
    return None


def set_keys(changes: Changes) -> Edit:
    """Return an edit that sets keys to values; what thereby loses its use is reset."""

    def edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
        return plan.adapt(changes)

    return edit


def any_differs(plan: Plan, baseline: Plan, keys: tuple[str, ...]) -> bool:
    """Whether two plans differ in one of the keys."""
    return any(_value(plan, key) != _value(baseline, key) for key in keys)


def _value(plan: Plan, dotted: str) -> Value:
    # Plans are compared by all techniques, over and over: one key costs less than all of them.
    section, _, key = dotted.partition(".")
    value: Value = getattr(getattr(plan, section), key)
    return value


def choose_optimizer(name: str, peak: float, changes: Changes | None = None) -> Edit:
    """Return an edit that sets the optimizer, its constants to their defaults, and its rate.

    A cycle of the momentum belonged to the optimizer before: it ends.
    """

    def edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
        defaults = parts.Optimizer().model_dump()
        constants = {key: defaults[key.partition(".")[2]] for key in OPTIMIZER_KEYS}
        return plan.adapt(
            {
                **constants,
                "optimizer.name": name,
                "schedule.peak": peak,
                "schedule.momentum_low": 0.0,
                **(changes or {}),
            }
        )

    return edit


def found_optimizer(name: str, nesterov: bool = False) -> Found:
    """Return whether a plan chose this optimizer where a baseline chose others or constants."""

    def found(plan: Plan, baseline: Plan) -> bool:
        chosen = plan.optimizer.name == name and plan.optimizer.nesterov == nesterov
        return chosen and any_differs(plan, baseline, OPTIMIZER_KEYS)

    return found


def choose_schedule(name: str, changes: Changes | None = None) -> Edit:
    """Return an edit that sets the shape of the learning rate; only one-cycle cycles momentum."""
    momentum: Changes = {} if name == "one_cycle" else {"schedule.momentum_low": 0.0}
    return set_keys({"schedule.name": name, **momentum, **(changes or {})})


def found_schedule(name: str, *further_keys: str) -> Found:
    """Return whether a plan has this shape where a baseline has another or other constants."""

    def found(plan: Plan, baseline: Plan) -> bool:
        chosen = plan.schedule.name == name
        return chosen and any_differs(plan, baseline, SCHEDULE_KEYS + further_keys)

    return found


def choose_clipping(key: str, value: Value) -> Edit:
    """Return an edit that sets one bound on the gradient and the others to 0."""
    return set_keys({**dict.fromkeys(CLIPPING_BOUNDS, 0.0), key: value})


def found_clipping(key: str) -> Found:
    """Return whether plans that differ in their clipping differ by this bound.

    It is the one that the plan has; where it has none, the one that the baseline has.
    """

    def found(plan: Plan, baseline: Plan) -> bool:
        if not any_differs(plan, baseline, CLIPPING_KEYS):
            return False
        bound = _bound(plan) or _bound(baseline) or "clipping.quantile"
        return bound == key

    return found


def _bound(plan: Plan) -> str:
    values = plan.flat()
    return next((key for key in CLIPPING_BOUNDS if values[key]), "")


def needs_a_decay(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    """Decays do not apply where the optimizer averages in their place."""
    if plan.optimizer.name == "schedule_free_adamw":
        return "optimizer.name = 'schedule_free_adamw' takes the place of a decay"
    return None


def found_value(key: str, value: Value) -> Found:
    """Return whether a plan sets a key to this value and a baseline does not."""

    def found(plan: Plan, baseline: Plan) -> bool:
        return plan.flat()[key] == value != baseline.flat()[key]

    return found


def examples_per_update(plan: Plan) -> int:
    """Return batch.size * batch.accumulation.

    Example:
        >>> examples_per_update(Plan().edit({"batch.accumulation": 4}))
        128
    """
    return plan.batch.size * plan.batch.accumulation


def scaled_peak(before: Plan, after: Plan) -> Changes:
    """Return the learning rate that follows the examples per update.

    rate * k for sgd and lars, and rate * sqrt(k) for optimizers that divide by a mean of squares
    or take signs, where k is the ratio of examples per update.

    Source: Goyal et al., 2017, arXiv:1706.02677 (linear); Malladi et al., 2022, arXiv:2205.10287
    (square root).

    Example:
        >>> plain = Plan()
        >>> dict(scaled_peak(plain, plain.edit({"batch.size": 128})))
        {'schedule.peak': 0.002}
    """
    ratio = examples_per_update(after) / examples_per_update(before)
    factor = ratio if after.optimizer.name in ("sgd", "lars") else math.sqrt(ratio)
    if after.batch.rate_scaling != "none":
        # It follows by the plan's own rule.
        return {}
    return {"schedule.peak": after.schedule.peak * factor}
