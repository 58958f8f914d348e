"""What updates that went wrong have in common, against data of which it is known."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

from slipstream.data.order import epoch_order
from slipstream.signals import evidence

order = lru_cache(epoch_order)


@dataclass(frozen=True)
class Cut:
    """Rows in the order of a seed, cut into updates."""

    num: int
    size: int
    seed: int = 0

    @property
    def updates_per_epoch(self):
        return -(-self.num // self.size)

    def examples_of(self, update):
        epoch, place = divmod(update, self.updates_per_epoch)
        return order(self.num, self.seed, epoch)[place * self.size :][: self.size]


def met(cut, rows, epochs):
    """Return the updates that have one of some rows."""
    updates = range(cut.updates_per_epoch * epochs)
    return [one for one in updates if set(rows) & set(cut.examples_of(one).tolist())]


@pytest.mark.parametrize(
    ("cut", "rows"),
    [
        (Cut(45, 8), (17,)),
        (Cut(320, 64), (3,)),
        (Cut(96, 64), (90,)),
        (Cut(330, 16), (3, 40, 251)),
    ],
)
def test_broken_rows_are_one_trouble_each_and_found(cut, rows):
    left_out, blamed = [], set()
    for update in met(cut, rows, 18):
        found = evidence(cut, left_out, update)
        before = {row for one in left_out for row in cut.examples_of(one).tolist()}
        is_first = before.isdisjoint(set(rows) & set(cut.examples_of(update).tolist()))
        assert is_first or found.shared, update
        left_out.append(update)
        blamed.update(found.certain)
    assert blamed == set(rows)
    assert found.num_causes(left_out) == len(rows)


@pytest.mark.parametrize("cut", [Cut(320, 32), Cut(96, 32)])
def test_what_goes_wrong_by_chance_is_no_matter_of_rows(cut):
    blamed, runs = 0, 40
    for seed in range(runs):
        of_seed, left_out = Cut(cut.num, cut.size, seed), []
        places = np.random.default_rng(seed).integers(0, cut.updates_per_epoch, 12)
        for epoch, place in enumerate(places):
            update = epoch * cut.updates_per_epoch + int(place)
            found = evidence(of_seed, left_out, update)
            left_out.append(update)
            if found.certain:
                blamed += 1
                break
        else:
            # In the end each of them counts.
            assert not found.shared and found.num_causes(left_out[-6:]) == 6
    assert blamed / runs <= 0.05


def test_where_each_update_has_all_examples_none_is_to_blame():
    cut = Cut(9, 9)
    found = evidence(cut, list(range(15)), 15)
    assert (len(found.shared), found.certain) == (9, [])
