"""Arrays that do not lie in memory: examples are read, and decoded, when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from slipstream.data.nests import Array, Arrays, leaves
from slipstream.data.row_keys import Keys

Rows = NDArray[np.int64]
# Checks look at so many examples of a column, evenly spread: reading all would take an epoch.
NUM_SAMPLED = 64


class Column(ABC):
    """An array of examples, shape (N, ...), that is read row by row.

    It is indexed as a NumPy array is, along its first axis, and gives NumPy arrays. Reading must
    not depend on anything but the rows, and is done by several threads at a time.

    Args:
        shape: Its shape, examples first.
        dtype: The dtype of what is read.
    """

    # What `row_keys` are made of: keys of two columns can be compared where this is the same.
    keyed_by: ClassVar[Literal["values", "files"]] = "values"

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @abstractmethod
    def read(self, rows: Rows, out: Array) -> None:
        """Write the examples of some rows into an array of shape (len(rows), ...).

        Raises:
            DataError: One cannot be read; it says which.
        """

    @abstractmethod
    def identity(self) -> Iterator[bytes]:
        """Yield what tells these examples from others, without reading all of them."""

    @property
    def source(self) -> Column:
        """The column that reads, where this one holds some rows of it."""
        return self

    def row_keys(self) -> Keys | None:
        """Return a number for each example, equal for equal ones, shape (N,).

        None where that would take reading all of them. Keys of values are those of
        `slipstream.data.row_keys`.
        """
        return None

    @property
    def ndim(self) -> int:
        """The number of axes, that of the examples included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """The bytes of all examples together, were they in memory."""
        return self.size * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """The bytes of one example in memory."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    @cached_property
    def sample(self) -> tuple[Rows, Array]:
        """Some rows, evenly spread, and what is in them."""
        places = np.linspace(0, len(self) - 1, min(NUM_SAMPLED, len(self)))
        rows = np.unique(places.astype(np.int64))
        return rows, self[rows]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        rows = np.asarray(np.arange(len(self))[key])
        out = np.empty((rows.size, *self.shape[1:]), self.dtype)
        self.read(rows.reshape(-1), out)
        return out.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        del copy
        return self[:] if dtype is None else self[:].astype(dtype)


@final
class Chosen(Column):
    """Some rows of a column, in an order of their own.

    Args:
        column: The column.
        rows: The rows, shape (M,).
    """

    def __init__(self, column: Column, rows: Rows) -> None:
        super().__init__((len(rows), *column.shape[1:]), column.dtype)
        self._column, self._rows = column, rows

    def read(self, rows: Rows, out: Array) -> None:
        self._column.read(self._rows[rows], out)

    def identity(self) -> Iterator[bytes]:
        yield self._rows.tobytes()
        yield from self._column.identity()

    @property
    def source(self) -> Column:
        return self._column.source

    def row_keys(self) -> Keys | None:
        keys = self._column.row_keys()
        return None if keys is None else keys[self._rows]


def choose(array: Array | Column, rows: Array) -> Array | Column:
    """Return some examples of an array; those of a column are not read yet."""
    if isinstance(array, Column):
        return Chosen(array, np.arange(len(array))[rows])
    return array[rows]


def as_array(array: Any) -> Array | Column:
    """Return a NumPy array of what came, or the column that came."""
    return array if isinstance(array, Column) else np.asarray(array)


def columns_in(arrays: Arrays) -> list[Column]:
    """Return the arrays of a nest that do not lie in memory."""
    found: list[Any] = list(leaves(arrays))
    return [array for array in found if isinstance(array, Column)]
