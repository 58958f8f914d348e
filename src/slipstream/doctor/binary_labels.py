"""Refuses labels outside 0 to 1 with a binary cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, is_floating, targets_of, value_range
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY


def check(case: Case) -> Iterator[Finding]:
    """Refuse targets below 0 or above 1, like {1, 2} and {-1, 1}, for binary cross-entropies.

    TensorFlow and JAX compute a loss without a lower bound, silently; torch raises in a step.
    """
    for part, output in targets_of(case):
        if output.loss not in BINARY:
            continue
        rows = bad_rows(part, _outside)
        if not rows.num_bad:
            continue
        low, high = value_range(part.array)
        yield Finding(
            "binary_labels",
            "error",
            f"targets from 0 to 1 for the loss {output.loss}",
            f"values from {low:g} to {high:g} in {part.place}, outside in {rows}",
            _mend(low, high),
        )


def _outside(rows: Array) -> Array:
    mask = (rows < 0) | (rows > 1)
    return np.asarray(mask & np.isfinite(rows) if is_floating(rows.dtype) else mask)


def _mend(low: float, high: float) -> str:
    if (low, high) == (1, 2):
        return "Subtract 1 from the labels, so that they are 0 and 1."
    if (low, high) == (-1, 1):
        return "Use y = (y + 1) / 2, so that labels are 0 and 1, or the loss 'hinge'."
    return "Give 0 or 1; for more classes use softmax and 'sparse_categorical_crossentropy'."
