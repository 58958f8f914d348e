"""What updates that went wrong have in common: examples that never did well. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

# So far back updates are compared: each further epoch tells less than the one before.
EPOCHS = 20
# Examples are to blame where fewer than so many would be shared by chance.
BY_CHANCE = 0.01


class Batches(Protocol):
    """Says of which examples updates are made."""

    @property
    def updates_per_epoch(self) -> int:
        """Updates in one epoch."""
        ...

    def examples_of(self, update: int) -> NDArray[np.int64]:
        """Return the rows that make an update, which is counted from 0."""
        ...


@final
@dataclass(frozen=True)
class Evidence:
    """What is known of updates that were left out, when another one has gone wrong.

    Args:
        update: That other one.
        suspects: The rows that were in updates left out and in no others since the first of these,
            each with these updates.
        certain: Those in `update` that so many updates do not share by chance.
    """

    update: int
    suspects: Mapping[int, Sequence[int]]
    certain: Sequence[int]

    @property
    def shared(self) -> list[int]:
        """The suspects in `update` that went wrong before: one of them may be why it did."""
        found = self.suspects.items()
        return [row for row, updates in found if self.update in updates and len(updates) > 1]

    def with_row(self, rows: Collection[int]) -> list[int]:
        """Return the updates left out before `update` that had one of some suspects."""
        updates = {one for row in rows for one in self.suspects[row]}
        return sorted(updates - {self.update})

    def num_causes(self, updates: Collection[int]) -> int:
        """Return how many causes some updates have at least: those that share a suspect have one.

        Example:
            >>> Evidence(9, {17: (2, 5)}, ()).num_causes([2, 5, 9])
            2
        """
        left, causes = set(updates), 0
        while left:
            of_rows = (left.intersection(one) for one in self.suspects.values())
            left -= max(of_rows, key=len, default=set()) or {min(left)}
            causes += 1
        return causes


def evidence(batches: Batches, left_out: Collection[int], update: int) -> Evidence:
    """Return what an update that went wrong has in common with those left out before.

    A row is a suspect as long as each update that it was in went wrong. Of B rows in an update,

        B * product over the epochs before of (updates left out) / (updates)

    are expected to be suspects by chance.

    Args:
        batches: The training split, cut into updates.
        left_out: The updates left out before, from 0.
        update: The one that went wrong now.
    """
    per_epoch = batches.updates_per_epoch
    last = update // per_epoch
    wrong = {one for one in left_out if last - EPOCHS <= one // per_epoch and one < update}
    wrong.add(update)
    rows = np.unique(np.concatenate([batches.examples_of(one) for one in sorted(wrong)]))
    for epoch in range(min(wrong) // per_epoch, last + 1):
        updates = range(epoch * per_epoch, min((epoch + 1) * per_epoch, update + 1))
        well = [batches.examples_of(one) for one in updates if one not in wrong]
        if well:
            rows = np.setdiff1d(rows, np.concatenate(well))
    suspects: dict[int, list[int]] = {}
    for one in sorted(wrong):
        for row in np.intersect1d(batches.examples_of(one), rows).tolist():
            suspects.setdefault(row, []).append(one)
    num = len(batches.examples_of(update))
    certain = [
        row
        for row, updates_of in suspects.items()
        if updates_of[-1] == update
        and num * _share_of(updates_of[:-1], wrong, per_epoch) < BY_CHANCE
    ]
    return Evidence(update, suspects, certain)


def _share_of(updates: Sequence[int], wrong: Collection[int], per_epoch: int) -> float:
    """Return which share of examples would be in updates that went wrong, epoch after epoch."""
    epochs = {one // per_epoch for one in updates}
    counts = [sum(one // per_epoch == epoch for one in wrong) for epoch in epochs]
    return float(np.prod([count / per_epoch for count in counts]))
