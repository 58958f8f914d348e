"""Reading a learning-rate range test: where to look, and what is too much."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np

from slipstream.errors import InputError
from slipstream.files import read_text
from slipstream.measure import messages
from slipstream.measure.again import once_more
from slipstream.measure.manager import Failed
from slipstream.plan import Plan
from slipstream.record import JsonModel, write_json
from slipstream.tuning.context import Context

LOWEST, HIGHEST, NUM_UPDATES = 1e-5, 10.0, 80
SMOOTHING = 0.6


class RateRange(JsonModel):
    """What a range test tells of one optimizer.

    Args:
        suggested: A rate that learns fast: a third of the one with the smallest loss.
        largest: The largest rate worth trying: where the loss was smallest, times two.
    """

    suggested: float
    largest: float


class Kept(JsonModel):
    """A range test that was done, as the study's folder keeps it."""

    found: RateRange | None


def find_range(context: Context, plan: Plan) -> RateRange | None:
    """Run a range test of the plan's optimizer; None when it tells nothing.

    What it told is kept in the study's folder: when an interrupted study goes on, it is not run
    again.

    Source: L. N. Smith, 2017 (arXiv:1506.01186).
    """
    file = context.folder / "tuning" / f"{plan.digest()}-range.json"
    # What is not there, or not readable, is measured.
    with contextlib.suppress(OSError, ValueError):
        return Kept.model_validate_json(read_text(file)).found
    request = messages.RangeTest(plan=plan, lowest=LOWEST, highest=HIGHEST, updates=NUM_UPDATES)

    def ask() -> messages.Ranged | Failed:
        worker = context.pool.get(plan.runtime.backend)
        return worker if isinstance(worker, Failed) else worker.range_test(request, timeout=120.0)

    try:
        answer = once_more(ask)
    except InputError:
        return None
    if isinstance(answer, Failed):
        return None
    kept = Kept(found=read_range(answer.points))
    write_json(file, kept.model_dump(mode="json"))
    return kept.found


def read_range(points: Sequence[tuple[float, float]]) -> RateRange | None:
    """Return what pairs of (rate, loss) tell, or None when the loss never fell.

    The loss is smoothed by an exponential mean, as single batches are noisy.

    Example:
        >>> points = [(10.0**e, loss) for e, loss in zip(range(-4, 2), (2, 2, 1, 0.5, 3, 9))]
        >>> read_range(points).largest
        0.2
    """
    finite = [(rate, loss) for rate, loss in points if math.isfinite(loss)]
    if len(finite) < 4:
        return None
    smoothed: list[float] = []
    for _, loss in finite:
        last = smoothed[-1] if smoothed else loss
        smoothed.append(SMOOTHING * last + (1 - SMOOTHING) * loss)
    lowest = int(np.argmin(smoothed))
    if smoothed[lowest] > 0.98 * smoothed[0]:
        return None
    best = finite[lowest][0]
    return RateRange(suggested=best / 3.0, largest=2.0 * best)
