"""What tuning minimises: the seconds to the target, at no loss of held-out quality."""

from __future__ import annotations

import math

from slipstream.record import Record
from slipstream.tuning.context import Context

# Each standard error by which a run stays behind the baselines' quality costs this share of time.
COST_OF_QUALITY = 0.5
MISSED = 2.0


def score(context: Context, record: Record, target: float, quality: float, cap: float) -> float:
    """Return the score of a run, in seconds; less is better.

    A run that met the target: seconds * (1 + 0.5 * d), where d is by how many tolerances its best
    value stays behind the baselines' quality, less one. A run that did not: the cap times two and
    more, the more the further it stayed away.

    Args:
        context: The study.
        record: The run.
        target: The value of the monitor that ends the race.
        quality: The best value that a baseline reached.
        cap: Seconds that no run is given more than.
    """
    if record.best_value is None:
        return cap * MISSED * 10
    seconds = record.seconds_to(target)
    if math.isfinite(seconds):
        behind = context.shortfall(record.best_value, quality) / context.tolerance(quality)
        return seconds * (1.0 + COST_OF_QUALITY * max(0.0, behind - 1.0))
    missed = context.shortfall(record.best_value, target) / context.tolerance(target)
    return cap * (MISSED + min(10.0, 0.1 * missed))
