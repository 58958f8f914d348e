"""Refuses integer labels that name no class of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, Rows, bad_rows, is_floating, targets_of, values_in
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
            siblings = [other for other, its in targets_of(case) if its.name == output.name]
            yield _out_of_range(part, siblings, output, outside)


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


def _out_of_range(part: Part, siblings: Sequence[Part], output: OutputFacts, rows: Rows) -> Finding:
    classes = num_classes(output) or 0
    values = values_in([part], output.ignore_class)
    low, high = values[0], values[-1]
    # A small split may lack classes: then all splits together tell what is meant.
    mend = _renumbered(values, classes) or _renumbered(
        values_in(siblings, output.ignore_class), classes
    )
    if not mend and low < 0:
        mend = "Leave these examples out, or give the loss ignore_class for labels without class."
    elif not mend:
        mend = f"Mend these labels, or give the model {int(high) + 1} outputs."
    return Finding(
        "sparse_labels",
        "error",
        f"labels from 0 to {classes - 1} for the {classes} classes of '{output.name}'",
        f"labels from {low:g} to {high:g} in {part.place}, out of range in {rows}",
        mend,
    )


def _renumbered(values: Sequence[float], classes: int) -> str:
    """Say how labels of all classes, but with other numbers, get the right ones; "" for others."""
    low, high = values[0], values[-1]
    to = f"so that they run from 0 to {classes - 1}."
    if low >= 1 and high == classes:
        return f"Labels start at 0: subtract 1, {to}"
    if len(values) != classes:
        return ""
    if high - low == classes - 1:
        change = f"add {-low:g}" if low < 0 else f"subtract {low:g}"
        return f"Labels start at 0: {change}, {to}"
    if tuple(values) == (-1, 1):
        return "Use y = (y + 1) // 2, so that the labels are 0 and 1."
    return f"Number the classes, y = numpy.unique(y, return_inverse=True)[1], {to}"
