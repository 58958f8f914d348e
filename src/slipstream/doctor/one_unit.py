"""Refuses a choice between classes with only one unit."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY, ONE_HOT, SPARSE, num_classes


def check(case: Case) -> Iterator[Finding]:
    """Refuse softmax, or a categorical cross-entropy, over a last axis of size 1.

    Softmax over one unit is 1 for every example, and the cross-entropy of it is 0: nothing is
    learnt, silently (TensorFlow and torch raise for a label 1 with a sparse loss).
    """
    for output in case.model.outputs:
        if num_classes(output) != 1:
            continue
        choosing = output.loss in SPARSE | ONE_HOT
        softmax = output.activation == "softmax" and (choosing or output.loss in BINARY)
        if choosing or softmax:
            cause = "activation softmax" if softmax else f"loss {output.loss}"
            yield Finding(
                "one_unit",
                "error",
                "two or more units to choose between, or one sigmoid unit",
                f"one unit in '{output.name}' with the {cause}",
                "For two classes, use Dense(1, activation='sigmoid') and 'binary_crossentropy'.",
                about="task",
            )
