"""Which form of targets each of Keras' losses takes, by the name of its class."""

from __future__ import annotations

from dataclasses import replace

from slipstream.doctor._arrays import Shape, fits
from slipstream.doctor._case import Case
from slipstream.task import OutputFacts

SPARSE = frozenset(
    {
        "SmoothedSparseCategoricalCrossentropy",
        "SparseCategoricalCrossentropy",
        "SparseFocalCrossentropy",
    }
)
ONE_HOT = frozenset({"CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge"})
BINARY = frozenset({"BinaryCrossentropy", "BinaryFocalCrossentropy"})
# How far measured values are off.
VALUES = frozenset(
    {
        "AsymmetricMeanSquaredError",
        "Huber",
        "LogCosh",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredError",
        "MeanSquaredLogarithmicError",
    }
)
# These compare each number of the output with one number of the targets.
ELEMENTWISE = (
    frozenset({"CosineSimilarity", "Hinge", "KLDivergence", "Poisson", "SquaredHinge"})
    | VALUES
    | ONE_HOT
    | BINARY
)

_BY_LETTERS = {name.lower(): name for name in SPARSE | ELEMENTWISE}


def with_class_names(case: Case) -> Case:
    """Return the case with losses by the names of their classes: "huber" becomes "Huber"."""
    outputs = tuple(
        replace(output, loss=_BY_LETTERS.get(output.loss.replace("_", "").lower(), output.loss))
        for output in case.model.outputs
    )
    return replace(case, model=replace(case.model, outputs=outputs))


def num_classes(output: OutputFacts) -> int | None:
    """Return the size of the output's last axis, where it is known."""
    return output.shape[-1] if output.shape else None


def holds_labels(shape: Shape, output: OutputFacts) -> bool:
    """Whether targets of this shape are one integer for each vector of classes."""
    return bool(output.shape) and (
        fits(shape, output.shape[:-1]) or fits(shape, (*output.shape[:-1], 1))
    )


def differ_by_trailing_one(shape: Shape, other: Shape) -> bool:
    """Whether two shapes are equal but for a last axis of size 1, like (N,) and (N, 1)."""
    return fits((*shape, 1), other) or fits(shape, (*other, 1))
