"""Warns of features that are the same in every training example."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, Part, chunks, inputs_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import FEWEST_EXAMPLES, holds_tokens

# Where so many values are background, as in pixels and counts, a feature of it is nothing odd.
SPARSE_SHARE = 0.1


def check(case: Case) -> Iterator[Finding]:
    """Warn of features, along the last axis of the inputs, that never change while training.

    All backends train on, and learn nothing from them: a column that was read wrongly, filled in or
    left over. Where it does change later, its weights are those of the first day. Numbers of tokens
    are left alone, and so is what is background elsewhere: zeros where much else is zero, the edge
    of images, standardised or not.
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
    return np.asarray(left[~_are_background(part, left, first[left])], np.int64)


def _are_background(
    part: Part, constant: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which constant features are what others often are too, as at the edge of images."""
    _, rows = next(chunks(part.array))
    others = np.delete(rows.reshape(-1, rows.shape[-1]), constant, axis=1)
    if not others.size:
        return np.zeros(len(constant), bool)
    lows = others.min(axis=0)
    darkest = lows.min()
    # Standardised one by one, the background is 0 where nothing else is, and a low elsewhere; each
    # feature has a lowest value once in any case.
    num_low = np.sum(others == lows) - len(lows)
    is_often_zero = max(np.sum(others == 0), num_low) > SPARSE_SHARE * others.size
    is_often_darkest = np.mean(others == darkest) > SPARSE_SHARE
    return np.asarray((is_often_zero & (values == 0)) | (is_often_darkest & (values == darkest)))
