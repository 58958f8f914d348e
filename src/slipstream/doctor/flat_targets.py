"""Refuses (N,) against (N, 1) where it is broadcast to (N, N)."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import in_words, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import SPARSE, differ_by_trailing_one
from slipstream.task import OutputFacts

# Found by giving each of Keras 3.15's metrics (N,) and (N, 1): these compute another number than
# for equal shapes, or raise.
BROADCASTING_METRICS = frozenset(
    {
        "BinaryCrossentropy",
        "CategoricalHinge",
        "F1Score",
        "FBetaScore",
        "Hinge",
        "KLDivergence",
        "Poisson",
        "SquaredHinge",
    }
)
OWN = "custom"


def check(case: Case) -> Iterator[Finding]:
    """Refuse targets and outputs that differ by a last axis of 1 and meet something that minds.

    Keras' own losses, losses written as functions, and most of Keras' metrics align (N,) with
    (N, 1) and are right on every backend. Losses written as classes, metrics of one's own and the
    metrics listed above broadcast the two to (N, N), silently on all backends, or raise: an F1 of
    0.51 where the accuracy is 0.93.
    """
    for part, output in targets_of(case):
        if output.loss in SPARSE or not differ_by_trailing_one(part.shape, output.shape):
            continue
        minding = list(_minding(output))
        if not minding:
            continue
        missing = len(part.shape) < len(output.shape)
        mend = "y = y[..., None]" if missing else "y = y[..., 0]"
        yield Finding(
            "flat_targets",
            "error",
            f"targets of the output's shape {in_words(output.shape)}, since {' and '.join(minding)}"
            " would broadcast the two",
            f"{in_words(part.shape)} in {part.place}",
            f"Give the targets the output's shape: {mend}.",
        )


def _minding(output: OutputFacts) -> Iterator[str]:
    if output.loss == OWN:
        yield "a loss of your own"
    for metric in dict.fromkeys(output.metrics):
        if metric == OWN:
            yield "a metric of your own"
        elif metric in BROADCASTING_METRICS:
            yield f"the metric {metric}"
