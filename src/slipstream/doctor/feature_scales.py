"""Warns of a feature that is far larger than all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import SCALING, bounds, tables

# Amounts of money beside shares are a thousand times as large, and are trained on.
RATIO = 1e6
NORMALISING = SCALING | {"BatchNormalization", "GroupNormalization", "LayerNormalization"}


def check(case: Case) -> Iterator[Finding]:
    """Warn of a feature that varies a million times as much as the others do.

    No backend minds: every answer and every gradient is that feature alone, and a learning rate
    that it bears moves nothing else. Models that normalise or hold layers of the user's own are
    left alone.
    """
    if NORMALISING.intersection(case.model.layers):
        return
    for part in tables(case):
        found = _largest(part)
        if found is not None:
            feature, spread, usual = found
            yield Finding(
                "feature_scales",
                "warning",
                f"features of about the same size in {part.place}",
                f"a standard deviation of {spread:.2g} in feature {feature} (counted from 0), where"
                f" {usual:.2g} is usual",
                "Scale each feature by its own mean and standard deviation, or begin the model with"
                " keras.layers.Normalization().",
            )


def _largest(part: Part) -> tuple[int, float, float] | None:
    """Return the largest feature, how much it varies, and how much the others do."""
    low, high = bounds(part)
    with np.errstate(all="ignore"):
        width = high - low
        varying = np.flatnonzero(np.isfinite(width) & (width > 0))
        # Ranges are cheap, and tell of most tables that there is nothing to look for.
        if len(varying) < 2 or width[varying].max() < RATIO * width[varying].min():
            return None
        spread = part.array[:, varying].std(axis=0, dtype=np.float64)
    largest = int(np.argmax(spread))
    usual = float(np.median(np.delete(spread, largest)))
    if not spread[largest] >= RATIO * usual:
        return None
    return int(varying[largest]), float(spread[largest]), usual
