"""Arrays as bytes in one file, one after the other, and the index that tells them apart."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from slipstream.errors import InputError

# Numbers and texts in NumPy's own spelling: no objects, no records, nothing with a size of its own.
_PLAIN = re.compile(r"[<>|](b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[SU][0-9]{1,9})")
# What Keras knows besides. Their spelling says nothing; their name does.
_MORE = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"})

Size = Annotated[int, Field(ge=0, lt=2**63)]


class Entry(BaseModel):
    """One array in the file: its name, dtype and shape. It begins where the one before ends."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str
    dtype: str
    shape: Annotated[tuple[Size, ...], Field(max_length=32)]

    @property
    def num_bytes(self) -> int:
        """What it takes in the file; as many as it takes in memory.

        Raises:
            ValueError: No such dtype is kept in checkpoints.
        """
        return math.prod(self.shape) * dtype_of(self.dtype).itemsize

    def empty(self) -> NDArray[Any]:
        """Return an array of this kind, to be filled."""
        return np.empty(self.shape, dtype_of(self.dtype))


def entries_of(arrays: Mapping[str, NDArray[Any]]) -> tuple[Entry, ...]:
    """Return the index of some arrays.

    Raises:
        InputError: One of them is no array, or holds objects, which only code could write and read.
    """
    return tuple(_entry(name, array) for name, array in arrays.items())


def _entry(name: str, array: NDArray[Any]) -> Entry:
    dtype = getattr(array, "dtype", None)
    name_of_dtype = getattr(dtype, "name", "")
    spelling = name_of_dtype if name_of_dtype in _MORE else getattr(dtype, "str", "")
    if isinstance(array, np.ndarray | np.generic) and _is_known(spelling):
        # Half a surrogate pair could be written, but not be read.
        with contextlib.suppress(ValueError):
            return Entry(name=name.encode().decode(), dtype=spelling, shape=array.shape)
    raise InputError(
        "arrays of numbers or texts in a checkpoint, by names that can be written",
        f"{name!r}, which is {f'of dtype {dtype}' if dtype else type(array).__name__}",
        "Hand its content over as arrays of numbers, or as values that JSON can say.",
        code="SLP-617",
    )


def dtype_of(spelling: str) -> np.dtype[Any]:
    """Return the dtype that an entry spells.

    Raises:
        ValueError: No such dtype is kept in checkpoints.
    """
    if not _is_known(spelling):
        raise ValueError(f"an array of dtype {spelling[:40]!r}")
    try:
        return np.dtype(getattr(ml_dtypes, spelling) if spelling in _MORE else spelling)
    except TypeError:
        raise ValueError(f"an array of dtype {spelling!r}, unknown on this machine") from None


def _is_known(spelling: str) -> bool:
    return spelling in _MORE or _PLAIN.fullmatch(spelling) is not None


def bytes_of(array: NDArray[Any]) -> memoryview:
    """Return an array's bytes in C order, without a copy where it lies so already.

    Example:
        >>> bytes_of(np.array([1, 256], "<i2")).tolist()
        [1, 0, 0, 1]
    """
    if array.nbytes == 0:
        return memoryview(b"")
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data


def parts_of(arrays: Mapping[str, NDArray[Any]]) -> Iterator[memoryview]:
    """Yield the bytes of some arrays in the order of their index."""
    return map(bytes_of, arrays.values())
