"""Refuses NaN and infinity in inputs, targets and weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import all_leaves, bad_rows, is_floating, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse arrays that hold NaN or an infinity.

    No backend says a word: the loss and with it all weights become NaN in the first update, or,
    where ReLU or max-pooling swallow the NaN, training goes on without these values.
    """
    for part in all_leaves(case):
        if not usable(part) or not is_floating(part.array.dtype):
            continue
        rows = bad_rows(part, _not_finite)
        if rows.num_bad:
            row = part.array[rows.position]
            kind = "NaN" if np.isnan(row).any() else "infinity"
            yield Finding(
                "not_finite",
                "error",
                f"finite numbers in {part.place}",
                f"{kind} in {rows}",
                "Leave these examples out, or fill in the missing values.",
            )


def _not_finite(rows: Array) -> Array:
    """Return a mask; a single sum tells of most arrays that there is nothing to look for."""
    with np.errstate(all="ignore"):
        if np.isfinite(rows.sum()):
            return np.zeros(len(rows), bool)
    return np.asarray(~np.isfinite(rows))
