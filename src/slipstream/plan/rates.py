"""The learning rate that a plan means, where it lets the rate follow the batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan


def rate_factor(plan: Plan) -> float:
    """Return what schedule.peak is multiplied by.

    k (linear) or sqrt(k), where k = batch.size * batch.accumulation / batch.rate_base

    Example:
        >>> from slipstream.plan import Plan
        >>> rate_factor(Plan().edit({"batch.size": 128, "batch.rate_scaling": "sqrt"}))
        2.0

    Source: Goyal et al., 2017, arXiv:1706.02677 (linear); Malladi et al., 2022, arXiv:2205.10287
    (square root).
    """
    batch = plan.batch
    ratio = batch.size * batch.accumulation / batch.rate_base
    return {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[batch.rate_scaling]


def written_out(plan: Plan) -> Plan:
    """Return the plan that trains the same with its rate written out.

    Example:
        >>> from slipstream.plan import Plan
        >>> plan = Plan().edit({"batch.size": 64, "batch.rate_scaling": "linear"})
        >>> written_out(plan).schedule.peak, written_out(plan).batch.rate_scaling
        (0.002, 'none')
    """
    if plan.batch.rate_scaling == "none":
        return plan
    peak = plan.schedule.peak * rate_factor(plan)
    return plan.adapt({"schedule.peak": peak, "batch.rate_scaling": "none"})
