"""Warns of a softmax at the end of a model that answers with several labels an example."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import bad_rows, fits, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY, num_classes

TOLERANCE = 0.01


def check(case: Case) -> Iterator[Finding]:
    """Warn of a softmax under a binary cross-entropy whose targets have several labels, or none.

    No backend minds: the answers of a softmax sum to 1, so that two labels have one half each at
    best, and the loss stays up. Targets of one label each are left alone.
    """
    for part, output in targets_of(case):
        # With from_logits=True it is wrong for that reason, which is said already.
        is_softmax = output.activation == "softmax" and not output.from_logits
        if part.split != "training" or output.loss not in BINARY or not is_softmax:
            continue
        if (num_classes(output) or 0) < 2 or not fits(part.shape, output.shape):
            continue
        rows = bad_rows(part, _other_sums)
        if rows.num_bad:
            yield Finding(
                "softmax_of_labels",
                "warning",
                f"sigmoid at the end of '{output.name}', for several labels an example",
                f"softmax, whose answers sum to 1, and labels that do not, in {rows} in"
                f" {part.place}",
                "End the model with activation='sigmoid'.",
                about="task",
            )


def _other_sums(rows: Array) -> Array:
    return np.asarray(np.abs(rows.sum(axis=-1, dtype=np.float64) - 1) > TOLERANCE)
