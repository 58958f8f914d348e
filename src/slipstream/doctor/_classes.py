"""Which classes occur in an array of targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, Part, chunks, fits, is_floating
from slipstream.doctor._case import Case
from slipstream.doctor._losses import BINARY, ONE_HOT, SPARSE, holds_labels, num_classes
from slipstream.task import OutputFacts

Counts = NDArray[np.float64]
# More classes than this beside an Embedding are tokens: most of those are rare by nature.
MOST_CLASSES_OF_TEXT = 20


def chooses_one(case: Case, output: OutputFacts) -> bool:
    """Whether an output answers with one of several classes an example, each worth learning."""
    classes = num_classes(output)
    if output.loss in BINARY:
        return classes in (None, 1)
    if len(output.shape) != 1 or not classes or classes < 2 or output.loss not in SPARSE | ONE_HOT:
        return False
    return not are_tokens(case, output)


def are_tokens(case: Case, output: OutputFacts) -> bool:
    """Whether an output's classes are probably those of a text's tokens."""
    return "Embedding" in case.model.layers and (num_classes(output) or 0) > MOST_CLASSES_OF_TEXT


def counts_in(part: Part, output: OutputFacts) -> Counts | None:
    """Return how many examples each class has, shape (classes,); see `classes_in` for None.

    Of shares of classes, as in smoothed targets, the sum counts.
    """
    if classes_in(part, output) is None:
        return None
    if output.loss in ONE_HOT:
        columns = [rows.sum(axis=0, dtype=np.float64) for _, rows in chunks(part.array)]
        return np.asarray(np.sum(columns, axis=0), np.float64)
    classes = 2 if output.loss in BINARY else num_classes(output) or 2
    counts = np.zeros(classes)
    for _, rows in chunks(part.array):
        labels = rows if output.ignore_class is None else rows[rows != output.ignore_class]
        counts += np.bincount(labels.astype(np.int64).ravel(), minlength=classes)
    return counts


def named(classes: Sequence[int]) -> str:
    """Write a few class numbers: "class 3", "classes 1, 2, 5 and 4 more"."""
    shown = ", ".join(str(label) for label in classes[:NUM_ROWS_SHOWN])
    more = len(classes) - NUM_ROWS_SHOWN
    return f"class{'es' if len(classes) > 1 else ''} {shown}" + (
        f" and {more} more" if more > 0 else ""
    )


def classes_in(part: Part, output: OutputFacts) -> frozenset[int] | None:
    """Return the classes that occur; None where the targets are not classes, or wrong ones."""
    classes = num_classes(output)
    if output.loss in BINARY and classes in (None, 1) and part.shape in ((), (1,)):
        return _labels(part, 2, None)
    if not classes or classes < 2:
        return None
    if output.loss in SPARSE and holds_labels(part.shape, output):
        return _labels(part, classes, output.ignore_class)
    if output.loss in ONE_HOT and fits(part.shape, output.shape):
        return _columns(part)
    return None


def _labels(part: Part, classes: int, ignored: int | None) -> frozenset[int] | None:
    found = np.zeros(classes, bool)
    for _, rows in chunks(part.array):
        labels = rows if ignored is None else rows[rows != ignored]
        # NaN is in no range, so this holds for finite labels alone.
        if not ((labels >= 0) & (labels < classes)).all():
            return None
        if is_floating(labels.dtype) and not (labels == np.floor(labels)).all():
            return None
        found |= np.bincount(labels.astype(np.int64).ravel(), minlength=classes) > 0
    return frozenset(int(label) for label in np.flatnonzero(found))


def _columns(part: Part) -> frozenset[int]:
    found = np.zeros(part.array.shape[-1], bool)
    for _, rows in chunks(part.array):
        found |= (rows > 0).reshape(-1, rows.shape[-1]).any(axis=0)
    return frozenset(int(label) for label in np.flatnonzero(found))
