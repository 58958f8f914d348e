"""Examples kept in a file of their own, which is gone when nobody reads it any more."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np

from slipstream.data.columns import Column, Rows
from slipstream.data.nests import Array
from slipstream.data.row_keys import Keys, row_keys
from slipstream.errors import DataError

# Examples that come one after the other stay in memory up to so many bytes.
MOST_KEPT_BYTES = 256 * 2**20


@final
class Shelf:
    """Records of one size in an unnamed file. Several threads may read and write at a time.

    They are read with a system call each, and not mapped: pages that are mapped count as this
    process's memory.

    Args:
        row_shape: The shape of one example.
        dtype: Its dtype.
        most_rows: How many there may be; 0 where nobody knows.
        folder: Where the file lies; the system's place for temporary files if None.

    Raises:
        DataError: The disk has too little room.
    """

    def __init__(
        self, row_shape: tuple[int, ...], dtype: Any, most_rows: int = 0, folder: Path | None = None
    ) -> None:
        self._row_bytes: int = int(np.prod(row_shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._folder = Path(folder or tempfile.gettempdir())
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        if free < most_rows * self._row_bytes:
            raise self._full(f"{free / 2**20:,.0f} MiB", most_rows * self._row_bytes)
        self._descriptor, name = tempfile.mkstemp(dir=self._folder)
        # Without a name it is gone with its last descriptor, however this process ends.
        Path(name).unlink()
        weakref.finalize(self, os.close, self._descriptor)

    def write(self, row: int, rows: Array) -> None:
        """Write examples that follow each other."""
        content = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        offset = row * self._row_bytes
        try:
            while content:
                written = os.pwrite(self._descriptor, content, offset)
                content, offset = content[written:], offset + written
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full("a full disk", rows.nbytes) from None

    def read(self, row: int, out: Array) -> None:
        """Read one example into an array of its shape."""
        os.preadv(self._descriptor, [out.reshape(-1).view(np.uint8).data], self._at(row))

    def _at(self, row: int) -> int:
        return row * self._row_bytes

    def _full(self, came: str, wanted: int) -> DataError:
        return DataError(
            f"{wanted / 2**20:,.0f} MiB of room for decoded examples in {self._folder}",
            came,
            "Make room, name another disk with SLIPSTREAM_CACHE_DIR, or set data.cache = 'host'.",
            code="SLP-322",
        )


@final
class Spooled(Column):
    """Examples that came one after the other and were written to a file.

    Args:
        shelf: Where they are.
        shape: Their shape.
        dtype: Their dtype.
        digest: What tells them from others.
        keys: A number for each of them, shape (N,), uint64.
    """

    def __init__(
        self, shelf: Shelf, shape: tuple[int, ...], dtype: Any, digest: bytes, keys: Keys
    ) -> None:
        super().__init__(shape, dtype)
        self._shelf, self._digest, self._keys = shelf, digest, keys

    def read(self, rows: Rows, out: Array) -> None:
        for place, row in enumerate(rows):
            self._shelf.read(int(row), out[place : place + 1])

    def row_keys(self) -> Keys:
        return self._keys

    def identity(self) -> Iterator[bytes]:
        yield repr((self.shape, self.dtype.str)).encode()
        yield self._digest


@final
class Collector:
    """Puts batches of one array together: in memory while they are few, else in a file."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._kept: list[Array] = []
        self._kept_bytes = 0
        self._shelf: Shelf | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._keys: list[Keys] = []
        self._num = 0

    def add(self, batch: Array) -> None:
        """Add examples; raises DataError where they are of another shape than those before."""
        first = self._kept[0] if self._kept else batch
        if batch.shape[1:] != first.shape[1:] or batch.dtype != first.dtype:
            raise DataError(
                f"examples of one shape and dtype, like {first.dtype}{list(first.shape[1:])}",
                f"{batch.dtype}{list(batch.shape[1:])}",
                "Pad or resize them to one shape.",
                code="SLP-316",
            )
        if self._shelf is not None:
            self._store(batch)
            return
        # A loader may hand out the same memory again.
        self._kept.append(batch.copy())
        self._kept_bytes += batch.nbytes
        if self._kept_bytes > MOST_KEPT_BYTES:
            self._shelf = Shelf(batch.shape[1:], batch.dtype, folder=self._folder)
            kept, self._kept = self._kept, [batch[:0].copy()]
            for one in kept:
                self._store(one)

    def result(self) -> Array | Column:
        """Return all examples."""
        if self._shelf is None:
            return np.concatenate(self._kept)
        like = self._kept[0]
        shape = (self._num, *like.shape[1:])
        keys = np.concatenate(self._keys)
        return Spooled(self._shelf, shape, like.dtype, self._digest.digest(), keys)

    def _store(self, batch: Array) -> None:
        assert self._shelf is not None
        self._shelf.write(self._num, batch)
        self._keys.append(row_keys(batch))
        self._digest.update(np.ascontiguousarray(batch).reshape(-1).view(np.uint8).data)
        self._num += len(batch)
