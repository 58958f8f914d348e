"""Warns of targets without a direction where a direction is learnt."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import bad_rows, fits, targets_of
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Warn of target vectors of zeros with a cosine similarity.

    A vector of zeros has no direction: all backends compute a similarity of 0 whatever the model
    answers, so that the example counts in the mean and teaches nothing.
    """
    for part, output in targets_of(case):
        if output.loss != "CosineSimilarity" or not fits(part.shape, output.shape):
            continue
        rows = bad_rows(part, lambda values: (values == 0).all(axis=-1))
        if rows.num_bad:
            yield Finding(
                "zero_vectors",
                "warning",
                "target vectors with a direction for the loss CosineSimilarity",
                f"zeros alone in {rows} in {part.place}",
                "Leave these examples out, or give them the weight 0.",
            )
