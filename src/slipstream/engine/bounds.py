"""What bounds a training: its input, the overhead of many small calls, or its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from slipstream.data.splits import Arrays, Split
from slipstream.engine.speeds import machine_speeds
from slipstream.engine.stream import calls_ahead
from slipstream.plan import Plan
from slipstream.record import Bound
from slipstream.rewrite.counting import count_activations, count_multiply_adds

Verdict = Literal["input-bound", "overhead-bound", "compute-bound", "unknown"]

# Shorter trainings tell nothing of what bounds them.
SHORTEST_SECONDS = 0.5
# Above this share of waiting the input bounds. Where threads read ahead a step waits for them only
# if they are slower than it is, so that a little tells, and they take processors from it, too.
WAITING_SHARE = 1 / 3
WAITING_SHARE_AHEAD = 0.1
# Of the rest, arithmetic bounds above this share.
WORKING_SHARE = 0.2
# Forward, and twice as much backward.
PASSES = 3
# How often an activation goes to or comes from memory in a step: written and read forward; it and
# its gradient, written and read, backward.
TOUCHED_ACTIVATION = 5
# A weight: read twice, its gradient written and read, two slots and itself read and written.
TOUCHED_WEIGHT = 10
NUM_BYTES = 4


def bound_of(
    spent: Mapping[str, float], examples: int, updates: int, model: Any, train: Split, plan: Plan
) -> Bound | None:
    """Return what bounds a training, or None where that cannot be told.

    waiting = seconds without examples / seconds of training
    work = max(arithmetic / speed of arithmetic, traffic / speed of memory) / seconds of training

    Both speeds are measured on the machine; work is what the step would take if nothing were lost.

    Args:
        spent: Seconds by what they were spent on: "wait" within "train".
        examples: Examples that were trained on.
        updates: Updates that were made.
        model: The trained model.
        train: What it was trained on; the shapes of its inputs count.
        plan: The plan.
    """
    seconds = spent.get("train", 0.0)
    if "wait" not in spent or seconds < SHORTEST_SECONDS:
        return None
    waiting = min(1.0, spent["wait"] / seconds)
    work = None
    # A model that cannot be traced by shapes alone: what waiting there was is still known.
    with suppress(Exception):
        ideal = _ideal_seconds(examples, updates, model, train.x)
        work = min(1.0, ideal * (2 if plan.optimizer.sam else 1) / seconds)
    verdict = verdict_of(waiting, work, calls_ahead(plan, train) > 0)
    return Bound(verdict=verdict, waiting_share=waiting, work_share=work)


def verdict_of(waiting: float, work: float | None, is_read_ahead: bool = False) -> Verdict:
    """Name what bounds a training, given its shares of waiting and of work.

    Example:
        >>> verdict_of(0.5, 0.2), verdict_of(0.1, 0.5), verdict_of(0.1, 0.1), verdict_of(0.1, None)
        ('input-bound', 'compute-bound', 'overhead-bound', 'unknown')
        >>> verdict_of(0.2, 0.1), verdict_of(0.2, 0.1, is_read_ahead=True)
        ('overhead-bound', 'input-bound')
    """
    if waiting > (WAITING_SHARE_AHEAD if is_read_ahead else WAITING_SHARE):
        return "input-bound"
    if work is None:
        return "unknown"
    return "compute-bound" if work > WORKING_SHARE * (1 - waiting) else "overhead-bound"


def _ideal_seconds(examples: int, updates: int, model: Any, x: Arrays) -> float:
    speeds = machine_speeds()
    arithmetic = PASSES * examples * count_multiply_adds(model, x) / speeds.multiply_adds
    activations = TOUCHED_ACTIVATION * examples * count_activations(model, x)
    weights = TOUCHED_WEIGHT * updates * model.count_params()
    return float(max(arithmetic, NUM_BYTES * (activations + weights) / speeds.num_bytes))
