"""Warns of one-hot targets that are no distribution over the classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, fits, targets_of
from slipstream.doctor._case import Case, Finding

LOSSES = frozenset({"CategoricalCrossentropy", "CategoricalFocalCrossentropy"})
TOLERANCE = 0.01


def check(case: Case) -> Iterator[Finding]:
    """Warn of targets of a categorical cross-entropy that are negative or do not sum to 1.

    No backend minds: a row that sums to 2 simply counts twice. Several classes an example want
    sigmoid and a binary cross-entropy.
    """
    for part, output in targets_of(case):
        if output.loss not in LOSSES or not fits(part.shape, output.shape):
            continue
        rows = bad_rows(part, _no_distribution)
        if rows.num_bad:
            yield Finding(
                "one_hot_rows",
                "warning",
                "targets that sum to 1 over the classes",
                f"other sums in {rows} in {part.place}",
                "For several classes an example, use sigmoid and 'binary_crossentropy'.",
            )


def _no_distribution(rows: Array) -> Array:
    with np.errstate(all="ignore"):
        sums = rows.sum(axis=-1, dtype=np.float64)
        off = np.abs(sums - 1) > TOLERANCE
        return np.asarray((off & np.isfinite(sums)) | (rows < 0).any(axis=-1))
