"""What is examined, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slipstream.data import Data
from slipstream.doctor._catalogue import CODES
from slipstream.plan import Plan
from slipstream.task import ModelFacts


@dataclass(frozen=True)
class Case:
    """A task before its first step: the data, the facts of the built model, and the plan.

    Args:
        data: Two or three splits of arrays.
        model: What is known of the built model, its losses and metrics.
        plan: The plan that would be trained.
        monitor: The watched metric, like "val_accuracy".
        task: The name of the task.
        is_shuffled: Whether each epoch has an order of its own, as every plan's has; a fit that is
            handed arrays may go without.
        has_validation: Whether anything is held out; where not, as in a fit without it, the
            validation split of the data only stands there and is not looked at.
        target: The value of the monitor that ends the race, or None.
        class_weight: A weight for each class number, as a fit takes them, or None.
    """

    data: Data
    model: ModelFacts
    plan: Plan
    monitor: str = "val_loss"
    task: str = "task"
    is_shuffled: bool = True
    has_validation: bool = True
    target: float | None = None
    class_weight: Mapping[Any, Any] | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and the one change that mends it.

    Args:
        check: The name of the check that found it: its file.
        severity: "error" when training would be wrong, "warning" when it may be meant.
        what: What was expected, without a full stop.
        where: What came instead: where, and how many; without a full stop.
        mend: What to change, as sentences.
        about: Whether data, plan or task are to be mended.
    """

    check: str
    severity: Literal["error", "warning"]
    what: str
    where: str
    mend: str
    about: Literal["data", "plan", "task"] = "data"

    @property
    def code(self) -> str:
        """The identifier of its entry in the catalogue; "" for a check that is none of ours."""
        return CODES.get(self.check, "")

    def __str__(self) -> str:
        """Return it as text: what was expected, what came, how to mend it."""
        sentence = f"Expected {self.what}; got {self.where}. {self.mend}"
        return f"{sentence} [{self.code}]" if self.code else sentence


Check = Callable[[Case], Iterator[Finding]]
