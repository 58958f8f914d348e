"""Warns of features that number the examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, Part, inputs_of, splits
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import bounds, tables
from slipstream.doctor._losses import VALUES

FEWEST_EXAMPLES = 30
# Numbers of rows of which some were left out have gaps; measured whole numbers have repetitions.
MOST_PER_EXAMPLE = 1.5
# Whole numbers between these are calendar years.
YEARS = (1500, 2100)


def check(case: Case) -> Iterator[Finding]:
    """Warn of a feature of whole numbers that occur once each, and nearly without gaps.

    No backend minds: a row number or an id tells a model which example it sees, and of examples
    that it has not seen, nothing. Where rows were sorted by class it is the answer itself. An
    input of a single feature is left alone, and so are calendar years, and time that goes on from
    split to split where values are forecast.
    """
    total = sum(split.num_examples for _, split in splits(case))
    for part in tables(case):
        if len(part.array) < FEWEST_EXAMPLES or part.shape[-1] < 2:
            continue
        low, high = bounds(part)
        numbering = _numbering(part, low, high, total)
        numbering = numbering[(low[numbering] < YEARS[0]) | (high[numbering] > YEARS[1])]
        if numbering.size and all(output.loss in VALUES for output in case.model.outputs):
            numbering = numbering[~_go_on(case, part, numbering)]
        if numbering.size:
            shown = ", ".join(str(feature) for feature in numbering[:NUM_ROWS_SHOWN])
            more = ", ..." if len(numbering) > NUM_ROWS_SHOWN else ""
            first = numbering[0]
            yield Finding(
                "row_numbers",
                "warning",
                f"features that say what an example is like in {part.place}",
                f"{len(numbering)} of {part.shape[-1]} (number{'s' if len(numbering) > 1 else ''}"
                f" {shown}{more}, counted from 0) that number{'s' if len(numbering) == 1 else ''}"
                f" the examples: whole numbers from {low[first]:.0f} to {high[first]:.0f}, each"
                " at most once",
                "Leave out what is a row number or an id: it does not help with new examples.",
            )


def _numbering(
    part: Part, low: NDArray[np.float64], high: NDArray[np.float64], total: int
) -> NDArray[np.int64]:
    with np.errstate(all="ignore"):
        count = high - low + 1
        likely = (count >= len(part.array)) & (count <= MOST_PER_EXAMPLE * total)
    likely &= (low == np.floor(low)) & (high == np.floor(high))
    found = [feature for feature in np.flatnonzero(likely).tolist() if _is_numbered(part, feature)]
    return np.asarray(found, np.int64)


def _go_on(case: Case, part: Part, features: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which features rise through the training split, and are higher in all others."""
    values = part.array[:, features]
    later = [
        other.array[:, features].min(axis=0) > values[-1]
        for other, _ in inputs_of(case)
        if other.split != "training" and other.name == part.name and other.array.size
    ]
    rising = (values[1:] > values[:-1]).all(axis=0)
    return np.asarray(np.all([rising, *later], axis=0) & bool(later))


def _is_numbered(part: Part, feature: int) -> bool:
    column = part.array[:, feature]
    return bool((column == np.floor(column)).all() and len(np.unique(column)) == len(column))
