"""Refuses one-hot targets with a sparse loss, and labels with a one-hot loss."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import fits, in_words, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import ONE_HOT, SPARSE, holds_labels, num_classes


def check(case: Case) -> Iterator[Finding]:
    """Refuse targets in the other form than the loss takes.

    Keras raises on every backend, in the middle of a step and with shapes as its only hint; where
    sizes happen to agree (a batch as large as the number of classes), it need not.
    """
    for part, output in targets_of(case):
        classes = num_classes(output)
        if not classes or classes < 2:
            continue
        if output.loss in SPARSE and fits(part.shape, output.shape):
            if holds_labels(part.shape, output):
                continue
            yield Finding(
                "target_form",
                "error",
                f"one label for each example of '{output.name}', as its sparse loss takes it",
                f"one-hot targets of shape {in_words(part.shape)} in {part.place}",
                "Use the loss 'categorical_crossentropy', or labels: y = y.argmax(axis=-1).",
            )
        elif (
            output.loss in ONE_HOT
            and holds_labels(part.shape, output)
            and not fits(part.shape, output.shape)
        ):
            yield Finding(
                "target_form",
                "error",
                f"one-hot targets of shape {in_words(output.shape)} for the loss {output.loss}",
                f"labels of shape {in_words(part.shape)} in {part.place}",
                f"Use the loss 'sparse_categorical_crossentropy', or y = numpy.eye({classes})[y].",
            )
