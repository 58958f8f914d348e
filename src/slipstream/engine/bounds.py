"""What bounds a training: its input, the overhead of many small calls, or its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from slipstream.data.splits import Arrays
from slipstream.engine.speeds import machine_speeds
from slipstream.plan import Plan
from slipstream.record import Bound
from slipstream.rewrite.counting import count_activations, count_multiply_adds

Verdict = Literal["input-bound", "overhead-bound", "compute-bound", "unknown"]

# Shorter trainings tell nothing of what bounds them.
SHORTEST_SECONDS = 0.5
# Above this share of waiting the input bounds; of the rest, arithmetic bounds above the other.
WAITING_SHARE = 1 / 3
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
    spent: Mapping[str, float], examples: int, updates: int, model: Any, x: Arrays, plan: Plan
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
        x: Inputs as it takes them; their shapes count.
        plan: The plan.
    """
    seconds = spent.get("train", 0.0)
    if "wait" not in spent or seconds < SHORTEST_SECONDS:
        return None
    waiting = min(1.0, spent["wait"] / seconds)
    try:
        ideal = _ideal_seconds(examples, updates, model, x)
    except Exception:
        # A model that cannot be traced by shapes alone: what waiting there was is still known.
        return Bound(verdict=verdict_of(waiting, None), waiting_share=waiting)
    work = min(1.0, ideal * (2 if plan.optimizer.sam else 1) / seconds)
    return Bound(verdict=verdict_of(waiting, work), waiting_share=waiting, work_share=work)


def verdict_of(waiting: float, work: float | None) -> Verdict:
    """Name what bounds a training, given its shares of waiting and of work.

    Example:
        >>> verdict_of(0.5, 0.2), verdict_of(0.1, 0.5), verdict_of(0.1, 0.1), verdict_of(0.1, None)
        ('input-bound', 'compute-bound', 'overhead-bound', 'unknown')
    """
    if waiting > WAITING_SHARE:
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
