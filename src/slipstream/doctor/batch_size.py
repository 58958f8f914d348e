"""Refuses an update that wants more examples than there are."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import all_leaves, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse batches (times accumulation) that are larger than the training split.

    Keras silently trains on the smaller batch that there is, so that the plan says one thing and
    the training does another. Where a task says nothing of batches, and has fewer than the usual
    32 examples, its plan as given takes all of them at once.
    """
    lengths = [
        len(part.array)
        for part in all_leaves(case)
        if part.split == "training" and part.role == "inputs" and usable(part)
    ]
    batch = case.plan.batch
    wanted = batch.size * batch.accumulation
    if not lengths or not 0 < min(lengths) < wanted:
        return
    keys = f"batch.size = {batch.size}"
    if batch.accumulation > 1:
        keys += f" times batch.accumulation = {batch.accumulation}"
    yield Finding(
        "batch_size",
        "error",
        f"at most {min(lengths)} examples for an update, as many as the training split has",
        f"{keys}",
        f"Set batch.size to {min(lengths) // batch.accumulation or 1} or less"
        + (" and batch.accumulation to 1." if batch.accumulation > min(lengths) else "."),
        about="plan",
    )
