"""Warns of a fit's class_weight that leaves classes out, does not know them, or has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slipstream.doctor._arrays import Part, bad_rows, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import classes_in, named
from slipstream.doctor._losses import VALUES


def check(case: Case) -> Iterator[Finding]:
    """Warn of classes without a weight, and of weights without a class, in a fit's class_weight.

    Keras weighs what is not named as 1 and looks for nothing under other names, on all backends,
    silently: weights by the names of classes, or counted from 1, weigh the wrong ones. Measured
    targets it rounds, and takes for numbers of classes.
    """
    if case.class_weight is None:
        return
    for part, output in targets_of(case):
        if part.split == "training" and output.loss in VALUES and _has_fractions(part):
            yield Finding(
                "class_weight_keys",
                "warning",
                "class_weight for targets that are classes alone",
                f"one for measured values in {part.place}, which Keras rounds to numbers of"
                " classes",
                "Leave class_weight out, or give a sample_weight for each example.",
            )
        found = classes_in(part, output) if part.split == "training" else None
        if found is None:
            continue
        missing = sorted(found - set(case.class_weight))
        extra = [key for key in case.class_weight if key not in found]
        if missing or extra:
            yield Finding(
                "class_weight_keys",
                "warning",
                f"in class_weight one weight for each class in {part.place}",
                _came(missing, extra),
                "Name each class by its number, from 0, like"
                f" {{{', '.join(f'{label}: 1.0' for label in sorted(found)[:3])}}}.",
            )


def _has_fractions(part: Part) -> bool:
    return bool(bad_rows(part, lambda values: values != np.floor(values)).num_bad)


def _came(missing: Sequence[int], extra: Sequence[Any]) -> str:
    words = [f"none for {named(missing)}, weighed as 1"] if missing else []
    if extra:
        shown = ", ".join(repr(key) for key in extra[:3])
        words.append(f"one for {shown}, which does not occur")
    return ", and ".join(words)
