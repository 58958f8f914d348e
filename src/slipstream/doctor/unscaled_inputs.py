"""Warns of bytes that reach the first layer as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part, chunks, inputs_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import NORMALISING

PIXEL_AXES = 3
BRIGHTEST = 255
# Pixels that were scaled in some other way than by 255 stay below it.
FEWEST_BRIGHT = 100


def check(case: Case) -> Iterator[Finding]:
    """Warn of uint8 inputs above 1, and of images of whole numbers up to 255, that nothing scales.

    No backend minds: values up to 255 make the first updates 255 times too large, and training is
    slow or stays at chance. Models that rescale, normalise (their values, or those of a layer) or
    hold layers of the user's own are left alone, and so are integers for an Embedding.
    """
    if NORMALISING.intersection(case.model.layers):
        return
    for part, facts in inputs_of(case):
        if part.split != "training" or not facts.dtype.startswith(("float", "bfloat")):
            continue
        if not part.array.size or "Embedding" in case.model.layers:
            continue
        largest = _largest_byte(part)
        if largest > 1:
            kind = "bytes" if part.array.dtype == np.uint8 else "pixels"
            yield Finding(
                "unscaled_inputs",
                "warning",
                "inputs of about unit size",
                f"{kind} ({part.array.dtype}) up to {largest} in {part.place}",
                "Divide by 255, or begin the model with keras.layers.Rescaling(1 / 255).",
            )


def _largest_byte(part: Part) -> int:
    """Return the largest of unscaled bytes; 0 where values are none."""
    if part.array.dtype == np.uint8:
        return int(max(rows.max() for _, rows in chunks(part.array)))
    if len(part.shape) != PIXEL_AXES:
        return 0
    largest = 0.0
    for _, rows in chunks(part.array):
        # The first piece of scaled images ends this.
        if not ((rows >= 0) & (rows <= BRIGHTEST) & (rows == np.floor(rows))).all():
            return 0
        largest = max(largest, float(rows.max()))
    return int(largest) if largest >= FEWEST_BRIGHT else 0
