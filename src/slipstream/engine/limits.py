"""What may end a run before its plan does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Limits:
    """Bounds that belong to a measurement, not to the plan.

    Args:
        seconds: The clock's seconds after which the run ends, or None.
        updates: Optimizer updates after which the run ends, or None.
        interrupted: Whether somebody wants the run to end now and to go on later; asked often.
    """

    seconds: float | None = None
    updates: int | None = None
    interrupted: Callable[[], bool] = _never

    def are_met(self, updates: int, seconds: float) -> bool:
        """Whether the run has to end."""
        return (self.updates is not None and updates >= self.updates) or (
            self.seconds is not None and seconds >= self.seconds
        )
