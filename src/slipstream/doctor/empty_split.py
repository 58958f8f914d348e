"""Refuses a split without examples."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.data import leaves
from slipstream.doctor._arrays import Part, splits, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse a split that has no example at all.

    Keras trains zero steps without a word or fails where it first needs a batch; without
    validation examples there is nothing to choose by.
    """
    for split_name, split in splits(case):
        arrays = list(leaves(split.x))
        sizes = [len(array) for array in arrays if usable(Part(split_name, "inputs", "", array))]
        if not arrays or (sizes and max(sizes) == 0):
            yield Finding(
                "empty_split",
                "error",
                f"examples in the {split_name} split",
                "none",
                "Check the filter or the slice that makes this split"
                + (", or leave the test split out." if split_name == "test" else "."),
            )
