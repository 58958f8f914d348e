"""Refuses a monitor that the model does not log."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.plan.spelling import nearest_key


def check(case: Case) -> Iterator[Finding]:
    """Refuse a monitor that is not "val_" and the name of something that the model logs.

    Keras' callbacks notice it after the first epoch, with a message about min and max.
    """
    names = [f"val_{name}" for name in case.model.logged]
    if case.monitor in names or not names:
        return
    yield Finding(
        "monitor_name",
        "error",
        f"the monitor of '{case.task}' to be one of {', '.join(names)}",
        f"'{case.monitor}'",
        f"Did you mean '{nearest_key(case.monitor, names)}'?",
        about="task",
    )
