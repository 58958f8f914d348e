"""Warns of classes that are far rarer than others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part, share_in_words, targets_of, weights_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import chooses_one, counts_in

RATIO = 10
FEWEST = 20


def check(case: Case) -> Iterator[Finding]:
    """Warn of a class that has at least ten times as many training examples as another.

    Nothing is wrong with such data, but always answering the frequent class makes a good accuracy
    and a small loss, on all backends. Silent where the loss is a focal one or examples have
    weights; of tokens, which are rare by nature, nothing is said.
    """
    if case.class_weight is not None:
        return
    weighted = {facts.name for part, facts in weights_of(case) if _differ(part)}
    for part, output in targets_of(case):
        if part.split != "training" or output.name in weighted or "Focal" in output.loss:
            continue
        counts = counts_in(part, output) if chooses_one(case, output) else None
        present = np.flatnonzero(counts) if counts is not None else np.empty(0, np.int64)
        if counts is None or len(present) < 2:
            continue
        rare = present[np.argmin(counts[present])]
        often = int(np.argmax(counts))
        if counts[often] < max(FEWEST, RATIO * counts[rare]):
            continue
        share = share_in_words(counts[rare], counts.sum())
        noun = "example" if counts[rare] == 1 else "examples"
        yield Finding(
            "class_imbalance",
            "warning",
            f"classes of about the same size in {part.place}",
            f"{counts[rare]:,.0f} {noun} of class {rare} ({share}) beside {counts[often]:,.0f} of"
            f" class {often}",
            "Weigh rare classes more (sample_weight, or class_weight in fit) or train with"
            " loss.name = 'focal', and watch F1 or AUC: the accuracy hardly sees them.",
        )


def _differ(part: Part) -> bool:
    values = part.array[:]
    return bool(values.size and values.min() != values.max())
