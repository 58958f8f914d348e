"""Warns of classes that are trained and never judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import Counts, chooses_one, counts_in, named

# One in so many healthy sets may lack a class by chance alone.
ONE_IN = 10_000


def check(case: Case) -> Iterator[Finding]:
    """Warn of classes that the validation or test split lacks, where chance hardly explains it.

    Labels that were sorted before they were split are the usual reason. All backends judge what is
    left, and what is chosen by it is chosen for these classes alone. Of rare classes, which a
    split may lack by chance, nothing is said.
    """
    trained: dict[str, Counts] = {}
    for part, output in targets_of(case):
        counts = counts_in(part, output) if chooses_one(case, output) else None
        if counts is None:
            continue
        if part.split == "training":
            trained[output.name] = counts
            continue
        ours = trained.get(output.name)
        # Classes that are judged and never trained, or a single one, are told elsewhere.
        if ours is None or counts[ours == 0].any() or np.count_nonzero(counts) < 2:
            continue
        by_chance = (1 - ours / ours.sum()) ** counts.sum()
        lacking = np.flatnonzero((counts == 0) & (ours > 0) & (by_chance < 1 / ONE_IN / len(ours)))
        if lacking.size:
            yield Finding(
                "unjudged_class",
                "warning",
                f"every class of the training split in {part.place}",
                f"none of {named(lacking.tolist())} there",
                "Shuffle before splitting, or split each class alike (stratify).",
            )
