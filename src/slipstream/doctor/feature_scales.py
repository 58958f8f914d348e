"""Warns of a feature, or of a few values in one, far larger than all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import Part, Rows, rows_at
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import NORMALISING, Floats, bounds, likewise, tables

# Amounts of money beside shares are a thousand times as large, and are trained on.
RATIO = 1e6
# So many examples with a value far from all others are a mistake in these; more are a feature's
# nature.
FEW, FEW_SHARE = 3, 0.01
SAMPLED = 64


@dataclass(frozen=True)
class _Apart:
    """A feature of which a few values lie far from all others: one of them, and the others."""

    feature: int
    value: float
    rows: Rows
    low: float
    high: float


def check(case: Case) -> Iterator[Finding]:
    """Warn of a feature that varies a million times as much as the others do, by a few values or
    by all.

    No backend minds: every answer and every gradient is that feature alone, and a learning rate
    that it bears moves nothing else. A few values a million times as far from the middle as all
    others are told with their rows, and spoil what normalises as well. Of whole features, models
    that normalise or hold layers of the user's own are left alone.
    """
    for part in tables(case):
        varying, width = _varying(part)
        # Ranges are cheap, and tell of most tables that there is nothing to look for.
        if len(varying) > 1 and width.max() < RATIO * width.min():
            continue
        near = _near_the_middle(part, varying, width)
        apart = [found for feature in near if (found := _apart(part, int(feature))) is not None]
        if apart:
            yield _of_values(part, apart)
        rest = np.setdiff1d(varying, [found.feature for found in apart])
        if len(rest) > 1 and not NORMALISING.intersection(case.model.layers):
            yield from _of_features(part, rest)


def _varying(part: Part) -> tuple[NDArray[np.int64], Floats]:
    """Return the features that vary, and between how much; not what has no size as float32."""
    low, high = bounds(part)
    with np.errstate(all="ignore"):
        width = high - low
    varying = np.flatnonzero((width > 0) & (width <= np.finfo(np.float32).max))
    return varying, width[varying]


def _near_the_middle(part: Part, varying: NDArray[np.int64], width: Floats) -> NDArray[np.int64]:
    """Return the features of which half a sample lies within a millionth of their range."""
    step = max(1, len(part.array) // SAMPLED)
    sample = part.array[::step, varying].astype(np.float64)
    distance = np.abs(sample - np.median(sample, axis=0))
    # Twice, for the middle of the sample is not that of all.
    return np.asarray(varying[np.median(distance, axis=0) * RATIO <= 2 * width])


def _apart(part: Part, feature: int) -> _Apart | None:
    """Return the few values of a feature that are a million times as far out as the others."""
    column = part.array[:, feature].astype(np.float64)
    distance = np.abs(column - np.median(column))
    order = np.argsort(-distance)
    farthest = distance[order[: max(FEW, int(FEW_SHARE * len(column))) + 1]]
    gaps = np.flatnonzero((farthest[:-1] >= RATIO * farthest[1:]) & (farthest[1:] > 0))
    if not len(gaps):
        return None
    bad, others = np.sort(order[: gaps[0] + 1]), column[order[gaps[0] + 1 :]]
    value, low, high = (float(one) for one in (column[bad[0]], others.min(), others.max()))
    return _Apart(feature, value, rows_at(part, bad), low, high)


def _of_values(part: Part, apart: list[_Apart]) -> Finding:
    first, *more = apart
    also = likewise([f"{one.feature} ({one.value:.3g})" for one in more])
    return Finding(
        "feature_scales",
        "warning",
        f"values of about the same size in each feature of {part.place}",
        f"{first.value:.3g} in {first.rows} of feature {first.feature} (counted from 0), whose"
        f" other values lie from {first.low:.3g} to {first.high:.3g}{also}",
        "Look at where these examples come from: mend what was read wrongly, or leave them out.",
    )


def _of_features(part: Part, features: NDArray[np.int64]) -> Iterator[Finding]:
    """Tell of the largest feature, where it varies a million times as much as is usual."""
    spread = part.array[:, features].std(axis=0, dtype=np.float64)
    largest = int(np.argmax(spread))
    usual = float(np.median(np.delete(spread, largest)))
    if spread[largest] >= RATIO * usual:
        yield Finding(
            "feature_scales",
            "warning",
            f"features of about the same size in {part.place}",
            f"a standard deviation of {spread[largest]:.2g} in feature {features[largest]} (counted"
            f" from 0), where {usual:.2g} is usual",
            "Scale each feature by its own mean and standard deviation, or begin the model with"
            " keras.layers.Normalization().",
        )
