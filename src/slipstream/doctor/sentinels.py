"""Warns of numbers like -999 that stand for a missing value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import bounds, likewise, tables

SENTINELS = (-999.0, -9999.0, -99_999.0, -999_999.0, 999.0, 9999.0, 99_999.0, 999_999.0)
# Such a number is a measurement unless it lies so many times the width of all others away.
WIDTHS_AWAY = 3
# A single one may be an outlier, and large positive numbers are often meant.
FEWEST_NEGATIVE, FEWEST_POSITIVE = 2, 3


def check(case: Case) -> Iterator[Finding]:
    """Warn of -999, 9999 and their like in a feature whose other values are far from them.

    No backend minds: one such number is as large as hundreds of measurements, and the model learns
    where values are missing before it learns anything else.
    """
    for part in tables(case):
        found = list(_found(part))
        if not found:
            continue
        feature, value, count, low, high = found[0]
        also = likewise([str(each[0]) for each in found[1:]])
        yield Finding(
            "sentinels",
            "warning",
            f"measured values alone in {part.place}",
            f"{value:g} in {count} of {len(part.array)} examples of feature {feature} (counted from"
            f" 0), whose other values lie from {low:g} to {high:g}{also}",
            "Where it stands for a missing value, put the feature's median there, and say in a"
            " column of its own where that was; or leave these examples out.",
        )


def _found(part: Part) -> Iterator[tuple[int, float, int, float, float]]:
    """Yield features with such a number: which one, how often, and where the others lie."""
    for ends in bounds(part):
        # Far from all others means smallest or largest.
        for feature in np.flatnonzero(np.isin(ends, SENTINELS)):
            told = _apart(part.array[:, feature], float(ends[feature]))
            if told is not None:
                yield int(feature), float(ends[feature]), *told


def _apart(column: Array, value: float) -> tuple[int, float, float] | None:
    """Return how often a value occurs and the range of all others; None where it is near them."""
    others = column[~np.isin(column, SENTINELS)].astype(np.float64)
    count = int(np.count_nonzero(column == value))
    if not others.size or count < (FEWEST_NEGATIVE if value < 0 else FEWEST_POSITIVE):
        return None
    low, high = float(others.min()), float(others.max())
    away = low - value if value < 0 else value - high
    # Comparisons with NaN are false: what is not finite is another check's.
    return (count, low, high) if away > WIDTHS_AWAY * (high - low) else None
