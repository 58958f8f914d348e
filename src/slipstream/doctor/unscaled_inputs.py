"""Warns of bytes that reach the first layer as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import chunks, inputs_of
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Warn of uint8 inputs above 1 that feed a floating-point input.

    No backend minds: values up to 255 make the first updates 255 times too large, and training is
    slow or stays at chance. A model with a layer that scales them is fine; one that does so in code
    cannot be told, so it is only a warning. Integers for an Embedding are left alone.
    """
    if case.model.scales_inputs:
        return
    for part, facts in inputs_of(case):
        if part.split != "training" or not facts.dtype.startswith(("float", "bfloat")):
            continue
        if part.array.dtype != np.uint8 or not part.array.size:
            continue
        largest = max(rows.max() for _, rows in chunks(part.array))
        if largest > 1:
            yield Finding(
                "unscaled_inputs",
                "warning",
                "inputs of about unit size",
                f"bytes (uint8) up to {largest} in {part.place}",
                "Divide by 255, or begin the model with keras.layers.Rescaling(1 / 255).",
            )
