"""Refuses labels outside 0 to 1 with a binary cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, is_floating, targets_of, values_in
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY

OTHERWISE = "Give 0 or 1; for more classes use softmax and 'sparse_categorical_crossentropy'."


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
        values = values_in([part])
        siblings = [other for other, its in targets_of(case) if its.name == output.name]
        yield Finding(
            "binary_labels",
            "error",
            f"targets from 0 to 1 for the loss {output.loss}",
            f"values from {values[0]:g} to {values[-1]:g} in {part.place}, outside in {rows}",
            _mend(values) or _mend(values_in(siblings)) or OTHERWISE,
        )


def _outside(rows: Array) -> Array:
    mask = (rows < 0) | (rows > 1)
    return np.asarray(mask & np.isfinite(rows) if is_floating(rows.dtype) else mask)


def _mend(values: Sequence[float]) -> str:
    """Say how two labels become 0 and 1; "" where there are not two."""
    if len(values) != 2:
        return ""
    low, high = values
    if (low, high) == (-1, 1):
        return "Use y = (y + 1) / 2, so that labels are 0 and 1, or the loss 'hinge'."
    if high - low == 1:
        change = f"Add {-low:g} to" if low < 0 else f"Subtract {low:g} from"
        return f"{change} the labels, so that they are 0 and 1."
    return f"Use y = (y == {high:g}), so that the labels are 0 and 1."
