"""Warns of training labels that are all of one class."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import classes_in


def check(case: Case) -> Iterator[Finding]:
    """Warn of a training split in which every example has the same class.

    All backends learn to answer it always, and log a perfect accuracy.
    """
    for part, output in targets_of(case):
        found = classes_in(part, output) if part.split == "training" else None
        if found is not None and len(found) == 1 and len(part.array) > 1:
            yield Finding(
                "one_class",
                "warning",
                "examples of two or more classes to train on",
                f"only class {next(iter(found))} in {part.place}",
                "Shuffle before splitting, or check how the labels are read.",
            )
