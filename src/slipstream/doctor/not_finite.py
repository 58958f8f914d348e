"""Refuses NaN, infinity and what becomes infinite in inputs, targets and weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import all_leaves, bad_rows, is_floating, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse arrays that hold NaN or an infinity, or a number that is one as float32.

    No backend says a word: the loss and with it all weights become NaN in the first update, or,
    where ReLU or max-pooling swallow the NaN, training goes on without these values.
    """
    # Keras makes float32 of float64, unless a model is of float64 itself.
    wide = any(facts.dtype == "float64" for facts in case.model.inputs)
    largest = float(np.finfo(np.float64 if wide else np.float32).max)
    for part in all_leaves(case):
        if not usable(part) or not is_floating(part.array.dtype):
            continue
        rows = bad_rows(part, partial(_not_finite, largest=largest))
        if rows.num_bad:
            kind, mend = _in_words(part.array[rows.position], largest)
            yield Finding(
                "not_finite", "error", f"finite numbers in {part.place}", f"{kind} in {rows}", mend
            )


def _not_finite(rows: Array, largest: float) -> Array:
    """Return a mask; a single look tells of most arrays that there is nothing to look for."""
    with np.errstate(all="ignore"):
        if rows.dtype.itemsize > np.float32().itemsize:
            return np.asarray(~(np.abs(rows) <= largest))
        if np.isfinite(rows.sum()):
            return np.zeros(len(rows), bool)
    return np.asarray(~np.isfinite(rows))


def _in_words(row: Array, largest: float) -> tuple[str, str]:
    """Return what the first bad row holds, and what to do."""
    if np.isfinite(row).all():
        value = row[np.abs(row) > largest].flat[0] if row.ndim else row
        return (
            f"numbers like {value:.3g}, which are infinite as float32,",
            "Leave these examples out, or scale the values.",
        )
    kind = "NaN" if np.isnan(row).any() else "infinity"
    return kind, "Leave these examples out, or fill in the missing values."
