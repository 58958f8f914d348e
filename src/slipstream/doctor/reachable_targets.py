"""Warns of targets that the last activation can never answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, fits, is_floating, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import VALUES, differ_by_trailing_one

INFINITY = float("inf")
RANGES: Mapping[str, tuple[float, float]] = {
    "exponential": (0.0, INFINITY),
    "hard_sigmoid": (0.0, 1.0),
    "relu": (0.0, INFINITY),
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "softplus": (0.0, INFINITY),
    "softsign": (-1.0, 1.0),
    "tanh": (-1.0, 1.0),
}


def check(case: Case) -> Iterator[Finding]:
    """Warn of measured values outside the range of the output's activation.

    A sigmoid never answers more than 1, ReLU nothing below 0: all backends train as near to it as
    they come, and the loss stays up.
    """
    for part, output in targets_of(case):
        bounds = RANGES.get(output.activation)
        is_alike = fits(part.shape, output.shape) or differ_by_trailing_one(
            part.shape, output.shape
        )
        if bounds is None or output.loss not in VALUES or not is_alike:
            continue
        low, high = bounds
        rows = bad_rows(part, lambda values, low=low, high=high: _outside(values, low, high))  # type: ignore[misc]
        if rows.num_bad:
            reach = f"from {low:g} to {high:g}" if high < INFINITY else f"of {low:g} or more"
            yield Finding(
                "reachable_targets",
                "warning",
                f"targets {reach}, as '{output.name}' ends in {output.activation}",
                f"others in {rows} in {part.place}",
                "End the model without an activation, or scale the targets.",
            )


def _outside(rows: Array, low: float, high: float) -> Array:
    mask = (rows < low) | (rows > high)
    return np.asarray(mask & np.isfinite(rows) if is_floating(rows.dtype) else mask)
