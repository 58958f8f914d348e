"""Finds sample weights that take away, or all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real

import numpy as np

from slipstream.doctor._arrays import Part, all_leaves, bad_rows, chunks, usable
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import named


def check(case: Case) -> Iterator[Finding]:
    """Find weights, of examples or of a fit's classes, that are all 0, or negative.

    With weights of 0 alone nothing is trained, or judged, without a word. A negative weight drives
    the model away from the target, without a bound; where that is meant, it is only a warning. A
    class whose weight is NaN or infinite spoils all of the model's weights in one update.
    """
    yield from _of_classes(case)
    for part in all_leaves(case):
        if part.role != "sample weights" or not usable(part) or not part.array.size:
            continue
        if _are_zero(part):
            yield Finding(
                "weight_values",
                "error",
                f"some weight above 0 in {part.place}",
                f"0 in all {len(part.array)} of them",
                "Leave the weights out, or check how they are made.",
            )
            continue
        rows = bad_rows(part, lambda values: values < 0)
        if rows.num_bad:
            yield Finding(
                "weight_values",
                "warning",
                f"weights of 0 or more in {part.place}",
                f"negative ones in {rows}",
                "Give such examples the weight 0, or leave them out.",
            )


def _of_classes(case: Case) -> Iterator[Finding]:
    weights = {
        label: float(weight)
        for label, weight in (case.class_weight or {}).items()
        if isinstance(weight, Real)
    }
    endless = [label for label, weight in weights.items() if not math.isfinite(weight)]
    negative = [label for label, weight in weights.items() if weight < 0]
    if endless:
        yield Finding(
            "weight_values",
            "error",
            "finite weights in class_weight",
            f"NaN or infinity for {named(endless)}",
            "Check how they are made: a class without examples has no balanced weight.",
        )
    elif weights and not any(weights.values()):
        yield Finding(
            "weight_values",
            "error",
            "some weight above 0 in class_weight",
            f"0 for {named(list(weights))}",
            "Leave class_weight out, or check how it is made.",
        )
    elif negative:
        yield Finding(
            "weight_values",
            "warning",
            "weights of 0 or more in class_weight",
            f"negative ones for {named(negative)}",
            "Give such classes the weight 0, or a small one.",
        )


def _are_zero(part: Part) -> bool:
    return not any(np.any(rows) for _, rows in chunks(part.array))
