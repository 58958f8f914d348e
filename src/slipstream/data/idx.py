"""Reader of idx files, the format of MNIST and its relatives: plain or gzipped, never trusted."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from slipstream.data.bounds import MAX_DEFLATE_RATIO, why_too_large
from slipstream.data.nests import Array
from slipstream.data.splits import Split
from slipstream.errors import DataError
from slipstream.files import is_other_than_file

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 32
CHUNK_BYTES = 1 << 20


def idx_files(examples: str | Path, labels: str | Path) -> Split:
    """Return a pair of idx files, like those of MNIST, as a split; labels become int64.

    Raises:
        DataError: See `read_idx`.
    """
    return Split(read_idx(Path(examples)), read_idx(Path(labels)).astype(np.int64))


def read_idx(path: Path) -> Array:
    """Read an idx file into an array.

    The header's sizes are held against the file's size, and against memory, before anything of
    that size is allocated; a file that has less or more data than its header says is refused.

    Args:
        path: The file; it is taken as gzipped when it begins as gzip files do.

    Returns:
        An array with the shape and number type of the header, in the machine's byte order.

    Raises:
        DataError: The file is missing, cut off, or not an idx file.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "labels"
        >>> _ = file.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3]) + bytes([7, 8, 9]))
        >>> read_idx(file).tolist()
        [7, 8, 9]

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
    """
    try:
        if is_other_than_file(path):
            raise _broken(path, "something else than a file")
        with path.open("rb") as raw:
            num_bytes = path.stat().st_size
            is_gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not is_gzipped:
                return _read(raw, path, num_bytes)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(unpacked, path, num_bytes * MAX_DEFLATE_RATIO)
    # NumPy finds shapes without a value too large that a file could hold.
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise _broken(path, f"{type(error).__name__}: {error}") from None


def _read(file: IO[bytes] | gzip.GzipFile, path: Path, most_bytes: int) -> Array:
    dtype, shape = _read_header(file, path)
    declared = math.prod(shape) * dtype.itemsize
    why = why_too_large(shape, dtype.itemsize, most_bytes)
    if why:
        raise _broken(path, why)
    buffer = bytearray()
    while len(buffer) < declared:
        chunk = file.read(min(CHUNK_BYTES, declared - len(buffer)))
        if not chunk:
            raise _broken(path, f"{len(buffer)} of the {declared} bytes that its header declares")
        buffer += chunk
    if file.read(1):
        raise _broken(path, f"more than the {declared} bytes that its header declares")
    return np.frombuffer(buffer, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_header(
    file: IO[bytes] | gzip.GzipFile, path: Path
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise _broken(path, f"a file that begins with {magic.hex() or 'nothing'}")
    num_axes = magic[3]
    if not 1 <= num_axes <= MAX_AXES:
        raise _broken(path, f"a header with {num_axes} axes")
    sizes = file.read(4 * num_axes)
    if len(sizes) < 4 * num_axes:
        raise _broken(path, "a header that is cut off")
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{num_axes}I", sizes)


def _broken(path: Path, came: str) -> DataError:
    return DataError(
        f"an idx file at {path}", came, "Delete the file and fetch it again.", code="SLP-306"
    )
