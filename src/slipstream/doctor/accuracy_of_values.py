"""Refuses an accuracy of measured values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, fits, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import VALUES, differ_by_trailing_one, num_classes

ACCURACIES = frozenset({"Accuracy", "BinaryAccuracy"})
# Where so many are 0 or 1, these are a yes or no with a few gradual ones.
FEWEST_SHARE = 0.5


def check(case: Case) -> Iterator[Finding]:
    """Refuse "accuracy" beside a loss of measured values, where targets are not 0 and 1.

    Keras makes a BinaryAccuracy of it, on all backends: it cuts the answer to 0 or 1 and asks
    whether that is the target. Every other target counts as wrong, however near the answer is, so
    that it stays at about 0.
    """
    for part, output in targets_of(case):
        metric = next((name for name in output.metrics if name in ACCURACIES), "")
        is_alike = fits(part.shape, output.shape) or differ_by_trailing_one(
            part.shape, output.shape
        )
        if part.split != "training" or not metric or not is_alike:
            continue
        if output.loss not in VALUES or num_classes(output) != 1:
            continue
        rows = bad_rows(part, _is_neither)
        if rows.num_bad > FEWEST_SHARE * rows.num_rows:
            yield Finding(
                "accuracy_of_values",
                "error",
                f"classes, 0 and 1, for the accuracy of '{output.name}'",
                f"other numbers in {rows} in {part.place}, which the loss {output.loss} takes as"
                " measured",
                "Use the metric 'mae', 'root_mean_squared_error' or 'r2_score' for measured values;"
                " for classes a loss of classes.",
                about="task",
            )


def _is_neither(rows: Array) -> Array:
    return np.asarray((rows != 0) & (rows != 1))
