"""Recipe: techniques under one name, with the values that they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipstream.plan import Plan, Value
from slipstream.task import TaskFacts
from slipstream.techniques._base import scaled_peak
from slipstream.techniques._registry import apply_all, get

_USUAL_BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """Techniques under one name, with the values that they take here.

    Args:
        name: Short name.
        title: Name for people.
        summary: What it is for, one sentence.
        techniques: Names; the order in which they apply is their own affair.
        settings: Plan keys set after the techniques, in place of their usual values; a
            schedule.peak here is meant for 32 examples an update and follows the plan's batch.
        optional: Names that come last, and are left out where they do not apply.
        task: The built-in task that it is measured on; "" where it is not.
    """

    name: str
    title: str
    summary: str
    techniques: tuple[str, ...]
    settings: Mapping[str, Value] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    task: str = ""

    def apply(self, plan: Plan, facts: TaskFacts) -> Plan:
        """Return the plan with this recipe; raises PlanError where it cannot hold."""
        made = apply_all(self.techniques, plan, facts).adapt(self.settings)
        if "schedule.peak" in self.settings:
            for_32 = made.edit({"batch.size": _USUAL_BATCH, "batch.accumulation": 1})
            made = made.edit(scaled_peak(for_32, made))
        fitting = [name for name in self.optional if get(name).applies(made, facts) is None]
        return apply_all(fitting, made, facts)
