"""Warns of splits that were scaled in different ways."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slipstream.data.columns import Column
from slipstream.doctor._arrays import Part, inputs_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import FEWEST_EXAMPLES, holds_tokens

MOST_ELEMENTS = 1 << 18
# Years that differ, or another camera, change sizes by less than this.
RATIO = 20
# How near features with a mean of 0 and a deviation of 1 are to that, and how far others are away.
# A series that rises evenly leaves the range that it was standardised on by less.
NEAR, FAR_MEAN, FAR_SPREAD = 0.1, 2.5, 4
# So many of the features are standardised where they all were; one may be far from normal.
MOST = 0.9
NUM_AT_ENDS = 8
FEWEST_STANDARDISED = 30

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def check(case: Case) -> Iterator[Finding]:
    """Warn of inputs on one scale that are trained on, and on another that are judged.

    Pixels divided by 255, or features standardised, in one split alone: all backends train well
    and judge at the level of chance, which looks like overfitting. Told where half of the features
    or more are 20 times as large, or where one split has means of 0 and deviations of 1, and the
    other is far from it; not of series that moved on in time.
    """
    trained: dict[str, Part] = {}
    for part, facts in inputs_of(case):
        if holds_tokens(case, facts) or len(part.array) < FEWEST_EXAMPLES:
            continue
        if part.split == "training":
            trained[facts.name] = part
        elif facts.name in trained and trained[facts.name].shape == part.shape:
            came = _difference(trained[facts.name], part)
            if came:
                yield Finding(
                    "split_scales",
                    "warning",
                    f"the scale of the training split in {part.place}",
                    came,
                    "Scale all splits alike, with the numbers (255, means, standard deviations) of"
                    " the training split.",
                )


def _difference(trained: Part, judged: Part) -> str:
    """Say how two splits differ in scale; "" where they do not."""
    ours, theirs = _rows(trained), _rows(judged)
    with np.errstate(all="ignore"):
        resized = _resized(ours, theirs)
        if resized:
            return resized
        jumps = _jumps(ours, theirs)
        for ones, others, one, other in (
            (ours, theirs, trained.split, judged.split),
            (theirs, ours, judged.split, trained.split),
        ):
            far = _far_from_standard(ones, others) & jumps
            count, varying = int(far.sum()), int((ones.std(axis=0) > 0).sum())
            if count and 2 * count >= varying:
                return (
                    f"{count} of {len(far)} features standardised in the {one}"
                    f" split, and not in the {other} split"
                )
    return ""


def _rows(part: Part) -> Floats:
    """Return examples, evenly spread, as rows of features; NaN in the place of infinities."""
    if isinstance(part.array, Column):
        rows = np.asarray(part.array.sample[1])
    else:
        step = max(1, part.array.size // MOST_ELEMENTS)
        rows = part.array[::step]
    flat = rows.reshape(-1, part.shape[-1] if part.shape else 1).astype(np.float64)
    flat[~np.isfinite(flat)] = np.nan
    return flat


def _resized(ours: Floats, theirs: Floats) -> str:
    ratios = _sizes(theirs) / _sizes(ours)
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    for word, factors in (("large", ratios), ("small", 1 / ratios)):
        changed = factors[factors >= RATIO]
        if changed.size and 2 * changed.size >= ratios.size:
            which = "" if ours.shape[1] == 1 else f" in {changed.size} of {ours.shape[1]} features"
            return f"values about {np.median(changed):,.0f} times as {word}{which}"
    return ""


def _sizes(rows: Floats) -> Floats:
    """Return the median size of what is not 0, for each feature; NaN where all is."""
    sizes = np.abs(rows)
    sizes[sizes == 0] = np.nan
    found = np.full(rows.shape[1], np.nan)
    some = ~np.isnan(sizes).all(axis=0)
    found[some] = np.nanmedian(sizes[:, some], axis=0)
    return found


def _far_from_standard(ones: Floats, others: Floats) -> Bools:
    """Return which features are far from a standard scale, where the first rows have it."""
    nothing: Bools = np.zeros(ones.shape[1], bool)
    if min(len(ones), len(others)) < FEWEST_STANDARDISED:
        return nothing
    mean, spread = ones.mean(axis=0), ones.std(axis=0)
    varying = spread > 0
    # Of a split that was scaled by another's numbers, chance has moved them.
    room = NEAR + 3 / np.sqrt(len(ones))
    near = (np.abs(mean) < room) & (np.abs(spread - 1) < room)
    if not varying.any() or near[varying].mean() < MOST:
        return nothing
    mean, spread = others.mean(axis=0), others.std(axis=0)
    far = (np.abs(mean) > FAR_MEAN) | (spread < 1 / FAR_SPREAD) | (spread > FAR_SPREAD)
    # Pixels from 0 to 1 are near to it, but for what is below 0.
    of_unit = (others.min(axis=0) >= 0) & (others.max(axis=0) <= 1)
    far |= of_unit & ((ones < 0).mean(axis=0) > 1 - MOST)
    return np.asarray(far & varying)


def _jumps(ours: Floats, theirs: Floats) -> Bools:
    """Return which features begin elsewhere in the second split than they end in the first.

    A series that is split by time moves on from where it was, however far it comes.
    """
    apart = np.abs(ours.mean(axis=0) - theirs.mean(axis=0))
    step = np.abs(ours[-NUM_AT_ENDS:].mean(axis=0) - theirs[:NUM_AT_ENDS].mean(axis=0))
    return np.asarray(step >= apart / 2)
