"""Warns of measured targets that are the same in every training example."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part, chunks, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._features import FEWEST_EXAMPLES
from slipstream.doctor._losses import VALUES

LOSSES = VALUES | {"Poisson"}


def check(case: Case) -> Iterator[Finding]:
    """Warn of a training split in which every example has the same measured target.

    All backends learn to answer it always, whatever the inputs are, and log a loss of nearly 0.
    Targets of several values are left alone.
    """
    for part, output in targets_of(case):
        if part.split != "training" or output.loss not in LOSSES or part.shape not in ((), (1,)):
            continue
        if len(part.array) >= FEWEST_EXAMPLES and _is_constant(part):
            yield Finding(
                "constant_targets",
                "warning",
                f"targets that differ between examples in {part.place}",
                f"{float(np.ravel(part.array[:1])[0]):g} in all {len(part.array)} of them",
                "Check how they are read, and which column they are.",
            )


def _is_constant(part: Part) -> bool:
    first = np.ravel(part.array[:1])[0]
    return all(bool((rows == first).all()) for _, rows in chunks(part.array))
