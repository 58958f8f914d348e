"""Which runtimes are worth learning on: those that are quickest over a short run."""

from __future__ import annotations

import math

from slipstream.plan import Value
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow

# What a good plan needs of the epochs that the task as given is planned for, about.
SHORT_RUN = 0.25
# Backends that take this many times longer for a short run than the best are not tried.
FAR_BEHIND = 2.5


def quick_runtimes(result: RuntimeResult) -> dict[str, dict[str, Value]]:
    """The best runtime of each backend for a run much shorter than planned, quickest first.

    A backend that compiles for long may be the fastest over the whole of a training and the last
    to arrive where few epochs are enough; so each is on offer that is not far behind. Where a
    backend is quickest in fewer bits, its best in float32 is on offer too: which of them keeps the
    quality is for trainings to tell.
    """
    seconds_of = {row.label: _seconds_of_short_run(row) for row in result.rows}
    best: dict[str, RuntimeRow] = {}
    for row in sorted(result.rows, key=lambda row: seconds_of[row.label]):
        if not math.isfinite(seconds_of[row.label]):
            continue
        quickest = best.setdefault(row.backend, row)
        if row.is_float32 and not quickest.is_float32:
            best.setdefault(f"{row.backend} in float32", row)
    if not best:
        return {}
    limit = FAR_BEHIND * min(seconds_of[row.label] for row in best.values())
    return {
        backend: {key: value for key, value in row.changes.items() if key != "batch.size"}
        for backend, row in best.items()
        if seconds_of[row.label] <= limit
    }


def _seconds_of_short_run(row: RuntimeRow) -> float:
    if row.projected_seconds is None or row.compile_seconds is None:
        return math.inf
    return row.compile_seconds + SHORT_RUN * (row.projected_seconds - row.compile_seconds)
