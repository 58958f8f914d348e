"""Finds examples that are judged on although they were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, entropy

from slipstream.data import Split, leaves
from slipstream.data.columns import NUM_SAMPLED, Column
from slipstream.data.row_keys import Keys, joined, row_keys
from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, Rows, rows_at, share_in_words, splits, usable
from slipstream.doctor._case import Case, Finding

# From here on what is measured is memory: refused. Fewer examples than these prove nothing anyhow.
REFUSED_SHARE = 0.5
FEWEST_REFUSED = 20
# Unless training rows repeat each other as well.
REPEATED_SHARE = 0.1
# So few are no more than what such data hold of their own, where training rows repeat as often.
NATURAL_SHARE = 0.01
# Columns of a few values, as of one-hot features, have no more rows to offer: if they differ by so
# many bits, N examples repeat each other by chance. Columns depend on each other, so that all of
# them together say less than each by itself.
BITS_PER_DOUBLING, MORE_BITS = 2, 8
MOST_COUNTED = 5000
# One in so many sets that repeat themselves by chance is told nevertheless.
ONE_IN = 1000
PIECE_ROWS = 4096

Leaf = Array | Column
# Keys of arrays by identity and dtype: training rows are compared with two splits.
_Known = dict[tuple[int, str], Keys]


@dataclass(frozen=True)
class _Overlap:
    """The rows of a held-out split that the training split holds too.

    `repeated` is the share of training rows that occur there more than once: as large is the share
    of new examples that chance alone would find there. `few` says that there are few different
    rows at all; `sampled` that only some rows of each split were compared.
    """

    rows: Rows
    repeated: float
    few: bool
    sampled: bool

    @property
    def share(self) -> float:
        return self.rows.num_bad / self.rows.num_rows

    @property
    def is_natural(self) -> bool:
        if self.share < NATURAL_SHARE and self.share <= self.repeated:
            return True
        by_chance = binom.sf(self.rows.num_bad - 1, self.rows.num_rows, self.repeated)
        return self.few and bool(by_chance > 1 / ONE_IN)

    @property
    def severity(self) -> Literal["error", "warning"]:
        is_memory = self.share >= REFUSED_SHARE and self.rows.num_rows >= FEWEST_REFUSED
        return "error" if is_memory and self.repeated <= REPEATED_SHARE else "warning"


def check(case: Case) -> Iterator[Finding]:
    """Find rows that the validation or test split shares with the training split.

    Inputs are compared exactly, value by value; of image folders, the files. No backend can tell:
    memorised examples pass for generalisation. Refused where it is half of the split or more, and
    training rows differ among each other; told below that, for equal rows may be equal by nature.
    Nothing is said where features of a few values, like 0 and 1, leave few different rows, and
    training rows repeat each other as often.
    """
    known: _Known = {}
    for name, split in splits(case):
        overlap = None if name == "training" else _overlap(case.data.train, split, name, known)
        if overlap is None or not overlap.rows.num_bad or overlap.is_natural:
            continue
        share = share_in_words(overlap.rows.num_bad, overlap.rows.num_rows)
        seen = " of those compared" if overlap.sampled else ""
        yield Finding(
            "shared_rows",
            overlap.severity,
            f"no example of the {name} split among those trained on",
            f"{overlap.rows}{seen}, {share}, whose inputs occur in the training split as well"
            + _by_nature(overlap),
            "Split before examples are copied or cut into windows, and keep equal ones together:"
            " what is judged on them is memory.",
        )


def _by_nature(overlap: _Overlap) -> str:
    if overlap.repeated <= REPEATED_SHARE:
        return ""
    return f", where {share_in_words(overlap.repeated, 1)} of the rows repeat each other"


def _overlap(train: Split, held: Split, name: str, known: _Known) -> _Overlap | None:
    """Return what two splits share; None where they cannot be compared."""
    pairs = _pairs(train, held)
    if not pairs:
        return None
    sides = ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    keys = [_keys(side, other, known) for side, other in (sides, sides[::-1])]
    places = [np.arange(len(side[0])) for side in sides]
    sampled = keys[0] is None or keys[1] is None
    if sampled:
        places = [_spread(len(side[0])) for side in sides]
        sides = tuple(
            [leaf[rows] for leaf in side] for side, rows in zip(sides, places, strict=True)
        )  # type: ignore[assignment]
        keys = [_keys(side, other, {}) for side, other in (sides, sides[::-1])]
    trained, judged = keys
    assert trained is not None and judged is not None
    shared = _shared(sides, trained, judged)
    part = Part(name, "inputs", "", pairs[0][1], held.rows)
    rows = rows_at(part, places[1][shared]) if shared.size else Rows(0, len(judged), ())
    rows = Rows(rows.num_bad, len(judged), rows.first, rows.position, rows.is_split_off)
    _, counts = np.unique(trained, return_counts=True)
    repeated = float(counts[counts > 1].sum()) / len(trained)
    few = bool(rows.num_bad) and repeated > 0 and _are_few([pair[0] for pair in pairs])
    return _Overlap(rows, repeated, few, sampled)


def _are_few(inputs: list[Leaf]) -> bool:
    """Whether the values of features leave so few different rows that some repeat by chance."""
    most = BITS_PER_DOUBLING * np.log2(len(inputs[0])) + MORE_BITS
    bits = 0.0
    for leaf in inputs:
        if isinstance(leaf, Column):
            return False
        rows = leaf[:: max(1, len(leaf) // MOST_COUNTED)]
        for column in rows.reshape(len(rows), -1).T:
            _, counts = np.unique(column, return_counts=True)
            bits += entropy(counts, base=2)
            if bits > most:
                return False
    return True


def _pairs(train: Split, held: Split) -> list[tuple[Leaf, Leaf]]:
    """Return the inputs of both splits side by side; nothing where they are not alike."""
    ours, theirs = ([_usable(leaf) for leaf in leaves(split.x)] for split in (train, held))
    if not ours or len(ours) != len(theirs):
        return []
    pairs = []
    for one, other in zip(ours, theirs, strict=True):
        if one is None or other is None or one.shape[1:] != other.shape[1:]:
            return []
        pairs.append((one, other))
    lengths = {(len(one), len(other)) for one, other in pairs}
    return pairs if len(lengths) == 1 and 0 not in next(iter(lengths)) else []


def _usable(leaf: Any) -> Leaf | None:
    return leaf if usable(Part("", "inputs", "", leaf)) else None


def _spread(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(NUM_SAMPLED, count)).astype(np.int64))


def _keys(leaves_: list[Leaf], others: list[Leaf], known: _Known) -> Keys | None:
    """Return a key of each example; None where the other side's keys are of another kind."""
    keys: Keys | None = None
    for leaf, other in zip(leaves_, others, strict=True):
        own = _keys_of(leaf, other, known)
        if own is None:
            return None
        keys = own if keys is None else joined(keys, own)
    return keys


def _keys_of(leaf: Leaf, other: Leaf, known: _Known) -> Keys | None:
    if _kind(leaf) != _kind(other):
        return None
    if isinstance(leaf, Column):
        # What it was keyed with is its own dtype.
        return leaf.row_keys() if leaf.dtype == other.dtype else None
    dtype = other.dtype if isinstance(other, Column) else np.result_type(leaf.dtype, other.dtype)
    name = (id(leaf), dtype.str)
    if name not in known:
        known[name] = row_keys(leaf, dtype)
    return known[name]


def _kind(leaf: Leaf) -> str:
    return leaf.source.keyed_by if isinstance(leaf, Column) else "values"


def _shared(sides: Any, trained: Keys, judged: Keys) -> NDArray[np.int64]:
    """Return the places of those judged rows that were trained on, in rising order."""
    order = np.argsort(trained)
    places = np.searchsorted(trained, judged, sorter=order)
    found = order[np.minimum(places, len(order) - 1)]
    same = np.flatnonzero(trained[found] == judged)
    for ours, theirs in zip(*sides, strict=True):
        if not isinstance(ours, Column) and not isinstance(theirs, Column):
            same = same[_are_equal(ours, found[same], theirs, same)]
    return same


def _are_equal(ours: Array, our_rows: Array, theirs: Array, their_rows: Array) -> Array:
    """Compare rows value by value, some at a time: keys alone could be equal by chance."""
    equal = np.zeros(len(our_rows), bool)
    for start in range(0, len(our_rows), PIECE_ROWS):
        piece = slice(start, start + PIECE_ROWS)
        is_equal = ours[our_rows[piece]] == theirs[their_rows[piece]]
        equal[piece] = is_equal.reshape(len(is_equal), -1).all(axis=1)
    return equal
