"""Features of tables: which arrays hold them, and between which values each of them lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, Part, chunks, inputs_of
from slipstream.doctor._case import Case
from slipstream.task import InputFacts

# Layers and operations that may bring values to unit size; what a user's own layer does, nobody
# knows.
SCALING = frozenset(
    {"Divide", "Lambda", "Multiply", "Normalization", "Rescaling", "TrueDivide", "custom"}
)
NORMALISING = SCALING | {"BatchNormalization", "GroupNormalization", "LayerNormalization"}
FEWEST_EXAMPLES = 10

Floats = NDArray[np.float64]


def likewise(others: Sequence[str]) -> str:
    """Return the end of a sentence about one feature of several: which others there are.

    Example:
        >>> likewise(["4", "7"]), likewise([])
        ('; likewise in 4, 7', '')
    """
    if not others:
        return ""
    more = ", ..." if len(others) > NUM_ROWS_SHOWN else ""
    return f"; likewise in {', '.join(others[:NUM_ROWS_SHOWN])}{more}"


def holds_tokens(case: Case, facts: InputFacts) -> bool:
    """Whether an input takes numbers of tokens or of categories, of which none is a size."""
    return facts.dtype.startswith(("int", "uint", "string")) or "Embedding" in case.model.layers


def tables(case: Case) -> Iterator[Part]:
    """Yield the training inputs that are rows of measured features, of shape (N, features)."""
    for part, facts in inputs_of(case):
        is_table = isinstance(part.array, np.ndarray) and len(part.shape) == 1 and part.array.size
        if part.split != "training" or not is_table or holds_tokens(case, facts):
            continue
        if len(part.array) >= FEWEST_EXAMPLES and part.array.dtype.kind != "b":
            yield part


def bounds(part: Part) -> tuple[Floats, Floats]:
    """Return the smallest and the largest value of each feature; NaN where one is NaN.

    Example:
        >>> low, high = bounds(Part("training", "inputs", "", np.array([[1, 5], [3, 2]])))
        >>> low.tolist(), high.tolist()
        ([1.0, 2.0], [3.0, 5.0])
    """
    ends = [(rows.min(axis=0), rows.max(axis=0)) for _, rows in chunks(part.array)]
    low: Any = np.min([end[0] for end in ends], axis=0)
    high: Any = np.max([end[1] for end in ends], axis=0)
    return low.astype(np.float64), high.astype(np.float64)
