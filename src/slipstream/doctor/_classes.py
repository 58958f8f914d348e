"""Which classes occur in an array of targets."""

from __future__ import annotations

import numpy as np

from slipstream.doctor._arrays import Part, chunks, fits, is_floating
from slipstream.doctor._losses import BINARY, ONE_HOT, SPARSE, holds_labels, num_classes
from slipstream.task import OutputFacts


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
