"""What the techniques that choose a loss share."""

from __future__ import annotations

from collections.abc import Callable

from slipstream.plan import Plan
from slipstream.plan.losses import Loss
from slipstream.task import TaskFacts
from slipstream.techniques._base import Changes, Edit, Found, any_differs

# A loss' settings mean nothing to another loss: they change hands as one.
LOSS_KEYS = tuple(
    f"loss.{key}" for key in Loss.model_fields if key not in ("weights", "class_weights")
)
# The loss that a name stands for, where all outputs share one name.
SPECIAL = ("as_task", "asymmetric_mse", "focal", "huber")


def choose_loss(name: str, changes: Changes | None = None) -> Edit:
    """Return an edit that sets the loss, and its settings to their defaults."""

    def edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
        defaults = Loss().model_dump()
        settings = {key: defaults[key.partition(".")[2]] for key in LOSS_KEYS}
        return plan.adapt({**settings, "loss.name": name, **(changes or {})})

    return edit


def found_loss(name: str = "") -> Found:
    """Return whether a plan trains with this loss where a baseline has another or other settings.

    Without a name: with any that is none of the special ones.
    """

    def found(plan: Plan, baseline: Plan) -> bool:
        mine = plan.loss.name
        chosen = mine == name if name else mine not in SPECIAL
        return chosen and any_differs(plan, baseline, LOSS_KEYS)

    return found


def for_kind(kind: str, reason: str) -> Callable[[Plan, TaskFacts], str | None]:
    """Return whether a loss applies: tasks of one kind, without smoothing for numbers."""

    def applies(plan: Plan, task: TaskFacts) -> str | None:
        if task.kind != kind:
            return f"{reason}: it is {task.kind}"
        if kind == "regression" and plan.regularization.label_smoothing > 0:
            return "regularization.label_smoothing needs a cross-entropy"
        return None

    return applies
