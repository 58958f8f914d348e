"""Warns of splits that are too small to say anything."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import splits
from slipstream.doctor._case import Case, Finding

FEW = 10


def check(case: Case) -> Iterator[Finding]:
    """Warn of a split of fewer than ten examples.

    All backends train on it and judge by it: a single example more or less right moves an accuracy
    by a tenth or more, and the choice between two plans is chance.
    """
    for name, split in splits(case):
        if 0 < split.num_examples < FEW:
            yield Finding(
                "tiny_split",
                "warning",
                f"{FEW} examples or more in the {name} split",
                f"{split.num_examples} of them",
                "Set more examples apart, or give none and have a fifth of the training examples"
                " set apart."
                if name == "validation"
                else "Give more of them; what comes of so few is chance.",
            )
