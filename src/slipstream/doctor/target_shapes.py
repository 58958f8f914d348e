"""Refuses targets of another shape than the output they are compared with."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import Shape, fits, in_words, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import (
    ELEMENTWISE,
    ONE_HOT,
    SPARSE,
    differ_by_trailing_one,
    holds_labels,
    num_classes,
)
from slipstream.task import OutputFacts


def check(case: Case) -> Iterator[Finding]:
    """Refuse targets that could only be compared with the output by broadcasting, or not at all.

    Regression losses broadcast (N, 2) against (N, 1) silently on all backends: each target column
    is held against the one output. Other shapes raise in the middle of a step. (N,) against
    (N, 1) is right in Keras' own losses; what is wrong with it elsewhere is another check's.
    """
    for part, output in targets_of(case):
        wanted = _wanted(part.shape, output)
        if wanted is None:
            continue
        yield Finding(
            "target_shapes",
            "error",
            f"targets of shape {in_words(wanted)} for '{output.name}' with the loss {output.loss}",
            f"{in_words(part.shape)} in {part.place}",
            "Give the targets this shape, or let the model end in the targets' shape.",
        )


def _wanted(shape: Shape, output: OutputFacts) -> Shape | None:
    """Return the shape that targets should have; None when they fit or another check has them."""
    if output.loss in SPARSE:
        fine = not output.shape or holds_labels(shape, output) or fits(shape, output.shape)
        return None if fine else output.shape[:-1]
    if output.loss not in ELEMENTWISE or fits(shape, output.shape):
        return None
    if differ_by_trailing_one(shape, output.shape):
        return None
    several = (num_classes(output) or 2) > 1
    if output.loss in ONE_HOT and several and holds_labels(shape, output):
        return None
    return output.shape
