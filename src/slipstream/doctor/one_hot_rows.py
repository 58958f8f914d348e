"""Warns of one-hot targets that are no distribution over the classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, chunks, fits, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import ONE_HOT

LOSSES = ONE_HOT | {"KLDivergence"}
TOLERANCE = 0.01


def check(case: Case) -> Iterator[Finding]:
    """Warn of targets that do not sum to 1 where a loss compares distributions.

    No backend minds: a row that sums to 2 simply counts twice, a row of zeros not at all. Several
    classes an example want sigmoid and a binary cross-entropy.
    """
    for part, output in targets_of(case):
        if output.loss not in LOSSES or not fits(part.shape, output.shape):
            continue
        if not part.shape or part.shape[-1] < 2:
            continue
        # Shares outside 0 to 1 are refused for these two, by another check.
        most = 1.0 if output.loss in ("CategoricalHinge", "KLDivergence") else np.inf
        rows = bad_rows(part, lambda values, most=most: _no_distribution(values, most))  # type: ignore[misc]
        if rows.num_bad:
            largest = max(float(values.max()) for _, values in chunks(part.array))
            mend = "For several classes an example, use sigmoid and 'binary_crossentropy'."
            yield Finding(
                "one_hot_rows",
                "warning",
                "targets that sum to 1 over the classes",
                f"other sums in {rows} in {part.place}",
                "Divide each row by its sum." if largest > 1 + TOLERANCE else mend,
            )


def _no_distribution(rows: Array, most: float) -> Array:
    with np.errstate(all="ignore"):
        sums = rows.sum(axis=-1, dtype=np.float64)
        off = np.abs(sums - 1) > TOLERANCE
        return np.asarray(off & np.isfinite(sums) & ((rows >= 0) & (rows <= most)).all(axis=-1))
