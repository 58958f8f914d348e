"""Decoded examples, kept for the next epoch: in memory, in a file, or in both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from slipstream.data.columns import Column, Rows
from slipstream.data.nests import Array
from slipstream.data.spool import Shelf


@dataclass(frozen=True)
class Tiers:
    """Where decoded examples of a column are kept.

    Args:
        in_memory: How many of them in memory: the first ones.
        folder: Where the file with the rest lies; None decodes the rest anew in each epoch.
    """

    in_memory: int
    folder: Path | None = None


@final
class Cached(Column):
    """A column whose examples are decoded once, as far as its tiers have room.

    Memory is taken as examples come in. Two threads may decode the same example at the same time:
    both come to the same bytes.

    Args:
        column: The column.
        tiers: Where its examples are kept.

    Example:
        >>> from slipstream.data.columns import Column
        >>> class Squares(Column):
        ...     num_read = 0
        ...     def read(self, rows, out):
        ...         Squares.num_read += len(rows)
        ...         out[:] = rows**2
        ...     def identity(self):
        ...         yield b"squares"
        >>> column = Cached(Squares((5,), "int64"), Tiers(in_memory=3))
        >>> column[[4, 1]].tolist(), column[[4, 1]].tolist(), Squares.num_read
        ([16, 1], [16, 1], 3)
    """

    def __init__(self, column: Column, tiers: Tiers) -> None:
        super().__init__(column.shape, column.dtype)
        self._column = column
        self._most = min(tiers.in_memory, len(column))
        self._memory = np.empty((self._most, *column.shape[1:]), column.dtype)
        self._shelf: Shelf | None = None
        if tiers.folder is not None and self._most < len(column):
            num_below = len(column) - self._most
            self._shelf = Shelf(column.shape[1:], column.dtype, num_below, tiers.folder)
        self._held = np.zeros(len(column), bool)

    def read(self, rows: Rows, out: Array) -> None:
        if not self._most and self._shelf is None:
            self._column.read(rows, out)
            return
        held = self._held[rows]
        if not held.all():
            places = np.flatnonzero(~held)
            out[places] = self._decoded(rows[places])
            if not held.any():
                return
        in_memory = held & (rows < self._most)
        if in_memory.all():
            # Nothing is out of bounds: without the check it needs no copy in between.
            np.take(self._memory, rows, axis=0, out=out, mode="clip")
            return
        out[in_memory] = self._memory[rows[in_memory]]
        assert self._shelf is not None or not (held & ~in_memory).any()
        for place in np.flatnonzero(held & ~in_memory):
            self._shelf.read(int(rows[place]) - self._most, out[place : place + 1])  # type: ignore[union-attr]

    def identity(self) -> Iterator[bytes]:
        yield from self._column.identity()

    def release(self) -> None:
        """Let go of what is kept: examples are decoded anew from here on."""
        self._held[:] = False
        self._most, self._shelf = 0, None
        self._memory = self._memory[:0].copy()

    def _decoded(self, rows: Rows) -> Array:
        decoded = self._column[rows]
        first = rows < self._most
        self._memory[rows[first]] = decoded[first]
        if self._shelf is not None:
            for place in np.flatnonzero(~first):
                self._shelf.write(int(rows[place]) - self._most, decoded[place])
            self._held[rows] = True
        else:
            self._held[rows[first]] = True
        return decoded
