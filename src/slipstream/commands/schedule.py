"""A plan's learning rates as text and as a picture, without a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from slipstream.commands.text import write_or_print
from slipstream.errors import InputError
from slipstream.ops.curve import Curve, schedule
from slipstream.plan import Plan, Value, read_plan
from slipstream.plan.parts import ScheduleName

NUM_ROWS = 11


def schedule_of(
    plan: Path | None,
    changes: Mapping[str, Value],
    updates: int,
    updates_per_epoch: float | None = None,
) -> Curve:
    """Return the learning rates of a plan's run, to look at.

    Args:
        plan: The plan's file; the default plan if None.
        changes: Dotted keys of the plan that are changed.
        updates: Optimizer updates of the run.
        updates_per_epoch: Optimizer updates of one epoch, for lengths in epochs.

    Raises:
        InputError: There is no such file, key or length.
    """
    if plan is not None and str(plan) in get_args(ScheduleName) and not plan.exists():
        raise InputError(
            "a plan's file",
            f"'{plan}', the name of a schedule",
            f"Write --set schedule.name={plan}.",
            code="SLP-017",
        )
    chosen = (read_plan(plan) if plan is not None else Plan()).edit(changes)
    return schedule(chosen, updates, updates_per_epoch=updates_per_epoch)


def schedule_text(curve: Curve, at: Sequence[int] = ()) -> str:
    """Return a schedule as a line of blocks and a table of its values.

    Args:
        curve: The schedule.
        at: Updates, from 0, whose rate is told; eleven of the run if empty.

    Example:
        >>> print(schedule_text(schedule("linear", 100, peak=1.0), [0, 25]), end="")
        linear: 100 updates
        ████████▇▇▇▇▇▇▇▇▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▄▄▄▄▄▄▄▄▃▃▃▃▃▃▃▃▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁
        <BLANKLINE>
            update  learning rate
                 0  1
                25  0.75
    """
    last = len(curve.rates) - 1
    chosen = at or sorted({round(part * last / (NUM_ROWS - 1)) for part in range(NUM_ROWS)})
    rows = [f"{update:>10,}  {curve.at(update):.6g}" for update in chosen]
    head = [f"{curve.title}: {len(curve.rates):,} updates", curve.text(), ""]
    return "\n".join([*head, f"{'update':>10}  learning rate", *rows]) + "\n"


def write_picture(curve: Curve, path: Path) -> None:
    """Write a schedule's picture as one HTML file that needs nothing else.

    Raises:
        InputError: The file cannot be written.
    """
    write_or_print(curve.plot().to_html(include_plotlyjs=True, full_html=True), path)
