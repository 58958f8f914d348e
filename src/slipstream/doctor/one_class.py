"""Warns of labels that are all of one class."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import classes_in

VERBS = {"training": "train on"}


def check(case: Case) -> Iterator[Finding]:
    """Warn of a split in which every example has the same class.

    Trained on it, all backends learn to answer it always, and log a perfect accuracy. Judged on
    it, such an answer is the best there is.
    """
    trained: dict[str, int] = {}
    for part, output in targets_of(case):
        found = classes_in(part, output)
        if found is None:
            continue
        if part.split == "training":
            trained[output.name] = len(found)
        elif trained.get(output.name, 0) < 2:
            # It is the training split that must be mended first.
            continue
        if len(found) == 1 and len(part.array) > 1:
            yield Finding(
                "one_class",
                "warning",
                f"examples of two or more classes to {VERBS.get(part.split, 'judge by')}",
                f"only class {next(iter(found))} in {part.place}",
                "Shuffle before splitting, or check how the labels are read.",
            )
