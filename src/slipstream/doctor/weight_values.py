"""Finds sample weights that take away, or all of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part, all_leaves, bad_rows, chunks, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Find weights that are all 0, or negative.

    With weights of 0 alone nothing is trained, or judged, without a word. A negative weight drives
    the model away from the target, without a bound; where that is meant, it is only a warning.
    """
    for part in all_leaves(case):
        if part.role != "sample weights" or not usable(part) or not part.array.size:
            continue
        if _are_zero(part):
            yield Finding(
                "weight_values",
                "error",
                f"some weight above 0 in {part.place}",
                f"0 in all {len(part.array)} of them",
                "Leave the weights out, or check how they are made.",
            )
            continue
        rows = bad_rows(part, lambda values: values < 0)
        if rows.num_bad:
            yield Finding(
                "weight_values",
                "warning",
                f"weights of 0 or more in {part.place}",
                f"negative ones in {rows}",
                "Give such examples the weight 0, or leave them out.",
            )


def _are_zero(part: Part) -> bool:
    return not any(np.any(rows) for _, rows in chunks(part.array))
