"""Refuses integer labels that name no class of the model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, Rows, bad_rows, is_floating, targets_of, value_range
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import SPARSE, holds_labels, num_classes
from slipstream.task import OutputFacts


def check(case: Case) -> Iterator[Finding]:
    """Refuse labels below 0, at or above the number of classes, or with a fraction.

    On JAX such a label is an example without a loss, silently; TensorFlow and torch fail in the
    middle of a step. Fractions are cut off on all of them (2.5 trains as 2), and the accuracy
    counts each as wrong.
    """
    for part, output in targets_of(case):
        classes = num_classes(output)
        if output.loss not in SPARSE or not classes or classes < 2:
            continue
        if not holds_labels(part.shape, output):
            continue
        fractions = _fractions(part)
        if fractions.num_bad:
            yield _fraction(part, fractions)
            continue
        outside = _outside(part, output, classes)
        if outside.num_bad:
            yield _out_of_range(part, output, classes, outside)


def _fractions(part: Part) -> Rows:
    if not is_floating(part.array.dtype):
        return Rows(0, len(part.array), ())
    return bad_rows(part, lambda rows: np.isfinite(rows) & (rows != np.floor(rows)))


def _outside(part: Part, output: OutputFacts, classes: int) -> Rows:
    def is_outside(rows: Array) -> Array:
        mask = (rows < 0) | (rows >= classes)
        if is_floating(rows.dtype):
            mask &= np.isfinite(rows)
        if output.ignore_class is not None:
            mask &= rows != output.ignore_class
        return np.asarray(mask)

    return bad_rows(part, is_outside)


def _fraction(part: Part, rows: Rows) -> Finding:
    return Finding(
        "sparse_labels",
        "error",
        "whole numbers as labels for a sparse loss",
        f"fractions in {rows} in {part.place}",
        "Give class numbers; for measured values use a regression loss such as 'mse'.",
    )


def _out_of_range(part: Part, output: OutputFacts, classes: int, rows: Rows) -> Finding:
    low, high = value_range(part.array)
    if low >= 1 and high == classes:
        mend = f"Labels start at 0: subtract 1, so that they run from 0 to {classes - 1}."
    elif low < 0:
        mend = "Leave these examples out, or give the loss ignore_class for labels without class."
    else:
        mend = f"Mend these labels, or give the model {int(high) + 1} outputs."
    return Finding(
        "sparse_labels",
        "error",
        f"labels from 0 to {classes - 1} for the {classes} classes of '{output.name}'",
        f"labels from {low:g} to {high:g} in {part.place}, out of range in {rows}",
        mend,
    )
