"""Warns of features that are the same in every training example."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, Part, chunks, inputs_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import FEWEST_EXAMPLES, holds_tokens

# Where so many values are zeros, as in pixels and counts, a feature of zeros is nothing odd.
SPARSE_SHARE = 0.1


def check(case: Case) -> Iterator[Finding]:
    """Warn of features, along the last axis of the inputs, that never change while training.

    All backends train on, and learn nothing from them: a column that was read wrongly, filled in or
    left over. Where it does change later, its weights are those of the first day. Numbers of tokens
    are left alone, and so are zeros where much else is zero.
    """
    for part, facts in inputs_of(case):
        if part.split != "training" or holds_tokens(case, facts):
            continue
        if len(part.array) < FEWEST_EXAMPLES:
            continue
        if not part.shape or part.shape[-1] == 0 or part.array.dtype.kind == "b":
            continue
        constant = _constant(part)
        if constant.size:
            shown = ", ".join(str(place) for place in constant[:NUM_ROWS_SHOWN])
            more = ", ..." if len(constant) > NUM_ROWS_SHOWN else ""
            yield Finding(
                "constant_features",
                "warning",
                f"features that differ between examples in {part.place}",
                f"the same value in all of them in {len(constant)} of {part.shape[-1]} features"
                f" (number{'s' if len(constant) > 1 else ''} {shown}{more}, counted from 0)",
                "Check how they are read, or leave them out: they tell examples apart no more than"
                " a bias does.",
            )


def _constant(part: Part) -> NDArray[np.int64]:
    """Return the features with one value; what changed in one piece is not looked at again."""
    first: NDArray[np.float64] | None = None
    left: NDArray[np.int64] = np.arange(part.shape[-1])
    for _, rows in chunks(part.array):
        flat = rows.reshape(-1, rows.shape[-1])
        if first is None:
            first = flat[0].astype(np.float64)
        # NaN differs from itself: what is not finite is another check's.
        left = np.asarray(left[(flat[:, left] == first[left]).all(axis=0)], np.int64)
        if not left.size:
            return left
    assert first is not None
    zeros = left[first[left] == 0]
    return left[first[left] != 0] if zeros.size and _is_sparse(part, zeros) else left


def _is_sparse(part: Part, zeros: NDArray[np.int64]) -> bool:
    """Whether zeros are frequent in features that are not made of them."""
    _, rows = next(chunks(part.array))
    others = np.delete(rows.reshape(-1, rows.shape[-1]), zeros, axis=1)
    return bool(others.size and np.mean(others == 0) > SPARSE_SHARE)
