"""The plans with which a technique that somebody asked for is tried."""

from __future__ import annotations

import contextlib
import math

from slipstream.errors import PlanError
from slipstream.plan import Plan, Value
from slipstream.task import TaskFacts
from slipstream.techniques import Choice, Range, get

# Each costs trainings: the technique's own values, and the first of its search.
MOST = 4


def plans_with(name: str, plan: Plan, facts: TaskFacts) -> tuple[Plan, ...]:
    """Return plans that hold a technique: with its usual values, then with others of its search.

    Raises:
        PlanError: It does not apply to the task, or has no place in the plan.

    Example:
        >>> from slipstream.techniques.explain import EXAMPLE
        >>> plans = plans_with("sam", Plan(), EXAMPLE)
        >>> [found.optimizer.sam for found in plans]
        [0.05, 0.02, 0.1]
    """
    technique = get(name)
    if plan.data.cache == "device" and technique.applies(plan, facts) is not None:
        # Some of what changes examples has to see them on the host.
        plan = plan.adapt({"data.cache": "host"})
    usual = technique.apply(plan, facts)
    plans = [usual]
    defaults = Plan().flat()
    for key, space in technique.search.items():
        # A key's default is what it has without the technique, or with its usual values.
        for value in (value for value in _values(space) if value != defaults[key]):
            # A value that contradicts the rest of the plan is none to try.
            with contextlib.suppress(PlanError):
                plans.append(usual.adapt({key: value}))
    different = [made for made in dict.fromkeys(plans) if technique.is_in(made, plan)]
    return tuple(different[:MOST])


def _values(space: Choice | Range) -> tuple[Value, ...]:
    if isinstance(space, Choice):
        return space.values
    middle = (space.low + space.high) / 2
    if space.log:
        middle = math.sqrt(space.low * space.high)
    values = (middle, space.low, space.high)
    return tuple(round(v) if space.whole else float(f"{v:.3g}") for v in values)
