"""Refuses inputs, targets and weights that differ in their number of examples."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import Part, all_leaves, splits, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse a split whose arrays have different lengths.

    Keras says so too ("Make sure all arrays contain the same number of samples"), but after
    everything is built, and not of which split.
    """
    for split_name, _ in splits(case):
        parts = [part for part in all_leaves(case) if part.split == split_name and usable(part)]
        if len({len(part.array) for part in parts}) > 1:
            lengths = ", ".join(f"{len(part.array)} {_name(part)}" for part in parts)
            yield Finding(
                "equal_lengths",
                "error",
                f"as many targets and weights as inputs in the {split_name} split",
                lengths,
                "Load them from the same rows.",
            )


def _name(part: Part) -> str:
    return f"{part.role} '{part.name}'" if part.name else part.role
