"""Warns of examples that come class by class and are not shuffled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import chooses_one, classes_in
from slipstream.doctor._losses import ONE_HOT

# Of the changes of class that a random order would have, fewer than these are left.
SHARE_OF_CHANGES = 0.2
FEWEST_EXAMPLES = 10


def check(case: Case) -> Iterator[Finding]:
    """Warn of labels in stretches of one class where epochs are not shuffled.

    Each update then sees one class: all backends forget one class while they learn the next, and
    the last one wins. Plans shuffle in every epoch; a fit with shuffle=False does not.
    """
    if case.is_shuffled:
        return
    for part, output in targets_of(case):
        if part.split != "training" or not chooses_one(case, output):
            continue
        if classes_in(part, output) is None or len(part.array) < FEWEST_EXAMPLES:
            continue
        labels = _labels(part, output.loss in ONE_HOT)
        changes = int(np.count_nonzero(np.diff(labels)))
        _, counts = np.unique(labels, return_counts=True)
        expected = len(labels) * (1 - np.sum((counts / len(labels)) ** 2))
        if len(counts) > 1 and changes < SHARE_OF_CHANGES * expected:
            yield Finding(
                "sorted_labels",
                "warning",
                f"classes in mixed order in {part.place}, since they are not shuffled",
                f"stretches of one class: {changes + 1} of them in {len(labels)} examples of"
                f" {len(counts)} classes",
                "Leave shuffle=False out, or shuffle inputs and targets together beforehand.",
            )


def _labels(part: Part, one_hot: bool) -> Array:
    values = part.array[:]
    return np.asarray(values.argmax(axis=-1) if one_hot else values.reshape(len(values)))
