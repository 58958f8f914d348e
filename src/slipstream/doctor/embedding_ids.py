"""Refuses ids that an Embedding has no row for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, bad_rows, chunks, inputs_of
from slipstream.doctor._case import Case, Finding

# Ids up to so many times the rows there are may be what was meant; far beyond, they have gaps.
MOST_TIMES = 2


def check(case: Case) -> Iterator[Finding]:
    """Refuse ids of tokens or categories below 0, or of an Embedding's input_dim and more.

    JAX turns all weights into NaN or, as PyTorch does, takes negative ids for rows from the end;
    TensorFlow and PyTorch end with an error of their own, which names no example. Inputs that feed
    an Embedding directly are looked at.
    """
    taken = [(part, facts.table) for part, facts in inputs_of(case) if facts.table is not None]
    for part, table in taken:
        rows = bad_rows(part, partial(_outside, table=table))
        if not rows.num_bad:
            continue
        low, high = _range(part)
        # One cure for all splits of an input: they share its Embedding.
        ends = [_range(other) for other, _ in taken if other.name == part.name]
        lowest, highest = min(end[0] for end in ends), max(end[1] for end in ends)
        yield Finding(
            "embedding_ids",
            "error",
            f"ids from 0 to {table - 1} in {part.place}, as an Embedding of {table} rows takes"
            " them",
            f"ids from {low} to {high}, out of range in {rows}",
            _mend(lowest, highest, table),
        )


def _outside(rows: Array, table: int) -> Array:
    # An Embedding drops fractions; NaN is another check's.
    return np.asarray(((rows <= -1) | (rows >= table)) & np.isfinite(rows))


def _range(part: Part) -> tuple[int, int]:
    kept = [rows[np.isfinite(rows)] for _, rows in chunks(part.array)]
    ends = [(float(rows.min()), float(rows.max())) for rows in kept if rows.size]
    if not ends:
        return 0, 0
    return int(min(end[0] for end in ends)), int(max(end[1] for end in ends))


def _mend(low: int, high: int, table: int) -> str:
    if high - low >= MOST_TIMES * table:
        return "Number them from 0: names, x = numpy.unique(x, return_inverse=True)."
    if low > 0 and high - low < table:
        return f"Ids start at 0: subtract {low}, or give the Embedding input_dim={high + 1}."
    if low >= 0:
        return f"Give the Embedding input_dim={high + 1}, or all rare ids one of those it has."
    more = f" and give the Embedding input_dim={high - low + 1}" if high - low >= table else ""
    return f"Ids start at 0: add {-low}{more}."
