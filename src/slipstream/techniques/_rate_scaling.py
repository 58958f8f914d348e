"""What the techniques that let the learning rate follow the batch share."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Edit, Found, any_differs, examples_per_update

KEYS = ("batch.rate_scaling", "batch.rate_base")


def follow_batch(rule: str) -> Edit:
    """Return an edit after which the rate follows the batch; for this batch it stays."""

    def edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
        base = examples_per_update(plan)
        return plan.edit({"batch.rate_scaling": rule, "batch.rate_base": base})

    return edit


def needs_a_fixed_rate(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    """Applies where the rate does not follow the batch yet."""
    if plan.batch.rate_scaling != "none":
        return f"batch.rate_scaling = '{plan.batch.rate_scaling}' lets the rate follow the batch"
    return None


def found_rule(rule: str) -> Found:
    """Return whether plans that differ in how the rate follows the batch differ by this rule.

    It is the one that the plan has; where it has none, the one that the baseline has.
    """

    def found(plan: Plan, baseline: Plan) -> bool:
        rules = [p.batch.rate_scaling for p in (plan, baseline) if p.batch.rate_scaling != "none"]
        return any_differs(plan, baseline, KEYS) and rules[0] == rule

    return found
