"""Whether a record accounts for its plan: no part of it is left out without a word."""

from __future__ import annotations

from collections.abc import Mapping

from slipstream.plan.plan import Plan


def unapplied(plan: Plan, applied: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that a plan sets to other values than the defaults and that no entry states.

    Args:
        plan: The plan of a run.
        applied: What the run's record states as applied, by plan key.

    Example:
        >>> plan = Plan().edit({"batch.size": 64, "optimizer.ema": 0.99})
        >>> unapplied(plan, {"optimizer.ema": "decay 0.99"})
        ('batch.size',)
    """
    return tuple(key for key in plan.difference(Plan()) if key not in applied)
