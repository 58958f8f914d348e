"""Which classes occur in an array of targets."""

from __future__ import annotations

import numpy as np

from slipstream.doctor._arrays import Part, chunks, fits, is_floating
from slipstream.doctor._losses import BINARY, ONE_HOT, SPARSE, holds_labels, num_classes
from slipstream.task import OutputFacts


def classes_in(part: Part, output: OutputFacts) -> frozenset[int] | None:
    """Return the classes that occur; None where the targets are not classes, or wrong ones."""
    classes = num_classes(output)
    if output.loss in SPARSE and classes and holds_labels(part.shape, output):
        return _labels(part, classes)
    if output.loss in ONE_HOT and classes and fits(part.shape, output.shape):
        return _columns(part)
    if output.loss in BINARY and (classes in (None, 1)) and part.shape in ((), (1,)):
        return _labels(part, 2)
    return None


def _labels(part: Part, classes: int) -> frozenset[int] | None:
    found = np.zeros(classes, bool)
    for _, rows in chunks(part.array):
        if is_floating(rows.dtype) and not (np.isfinite(rows) & (rows == np.floor(rows))).all():
            return None
        inside = rows[(rows >= 0) & (rows < classes)].astype(np.int64)
        found |= np.bincount(inside, minlength=classes) > 0
    return frozenset(int(label) for label in np.flatnonzero(found))


def _columns(part: Part) -> frozenset[int]:
    found = np.zeros(part.array.shape[-1], bool)
    for _, rows in chunks(part.array):
        found |= (rows > 0).reshape(-1, rows.shape[-1]).any(axis=0)
    return frozenset(int(label) for label in np.flatnonzero(found))
