"""What techniques for data in files share: when they apply, and what a plan holds of them."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Found, any_differs

CACHE_KEYS = ("data.cache", "data.memory_budget")


def found_cache(name: str) -> Found:
    """Return whether a plan keeps examples there where a baseline does not, or not as many."""

    def found(plan: Plan, baseline: Plan) -> bool:
        return plan.data.cache == name and any_differs(plan, baseline, CACHE_KEYS)

    return found


def needs_files(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    """Caches are for examples that are read from files."""
    return None if task.streamed else "the data lie in memory as arrays already"


def decodes_ahead(plan: Plan, task: TaskFacts) -> str | None:
    """Threads count where examples are read from files, and ahead of time."""
    if not task.streamed:
        return "the data lie in memory as arrays already"
    if plan.data.prefetch == 0 and plan.data.cache != "device":
        return "data.prefetch = 0 decodes when the step asks"
    return None
