"""Arrays in NumPy's npz files: members of a zip archive, none of them believed or unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from slipstream.data.bounds import (
    MAX_DEFLATE_RATIO,
    first_line,
    why_no_room,
    why_too_large,
)
from slipstream.data.nests import Array
from slipstream.data.splits import Split
from slipstream.errors import DataError
from slipstream.files import is_other_than_file

ENDING = ".npy"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What NumPy writes for types without named fields.
VERSIONS = ((1, 0), (2, 0))
MAX_HEADER_BYTES = 10_000
# A small member is packed into more than its share: what deflate begins and ends with.
SLACK_BYTES = 64
NUM_NAMED = 20


def npz_file(path: str | Path, x: str = "x", y: str = "y", weight: str = "") -> Split:
    """Return arrays of an npz file as a split. Pickled objects are never loaded.

    Args:
        path: The file.
        x: The name of the array of inputs.
        y: The name of the array of targets.
        weight: The name of the array of sample weights; "" where there are none.

    Raises:
        DataError: The file is missing or broken, lacks an array, or holds more than memory can.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "data.npz"
        >>> np.savez(file, x_train=np.ones((3, 2)), y_train=np.arange(3))
        >>> npz_file(file, "x_train", "y_train").y.tolist()
        [0, 1, 2]
    """
    arrays = read_npz(Path(path), [x, y, *([weight] if weight else [])])
    return Split(arrays[x], arrays[y], arrays[weight] if weight else None)


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Array]:
    """Read arrays of an npz file, by name.

    What the archive and each array's header declare is held against the file and against memory
    before anything of that size is made; nothing is written, whatever the members are called.

    Args:
        path: The file.
        names: The arrays; all of them if None.

    Raises:
        DataError: The file is missing or broken, lacks an array, or holds more than memory can.
    """
    try:
        if is_other_than_file(path):
            raise _broken(path, "something else than a file")
        with zipfile.ZipFile(path) as archive:
            members = {
                member.filename.removesuffix(ENDING): member
                for member in archive.infolist()
                if member.filename.endswith(ENDING)
            }
            wanted = dict.fromkeys(members if names is None else names)
            for name in wanted:
                _refuse_missing(name, members, path)
            chosen = [members[name] for name in wanted]
            _refuse_too_large(chosen, path)
            return {name: _array(archive, members[name], path) for name in wanted}
    # An encrypted member is a RuntimeError, a packing that nobody knows a NotImplementedError.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken(path, first_line(error)) from None
    except MemoryError:
        raise _broken(path, "arrays that do not fit into memory") from None


def _refuse_too_large(members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    size = path.stat().st_size
    for member in members:
        if member.compress_type not in METHODS:
            raise _broken(path, f"'{member.filename}' in a packing that NumPy does not write")
        ratio = MAX_DEFLATE_RATIO if member.compress_type == zipfile.ZIP_DEFLATED else 1
        most = member.compress_size * ratio + SLACK_BYTES
        if member.compress_size > size or member.file_size > most:
            raise _broken(
                path,
                f"'{member.filename}' that declares {member.file_size} bytes, more than the file"
                " can hold",
            )
    why = why_no_room(sum(member.file_size for member in members))
    if why:
        raise _broken(path, why)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Array:
    what = f"'{member.filename}'"
    with archive.open(member) as file:
        try:
            shape, dtype = _header(file)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
            raise
        except Exception as error:  # NumPy reads it as Python's tokens: errors are of many kinds.
            raise _broken(path, f"{what} without a header ({first_line(error)})") from None
        if dtype.hasobject or not dtype.itemsize or min(shape, default=0) < 0:
            raise _broken(path, f"{what} of type {dtype}, which is no array of numbers")
        why = why_too_large(shape, dtype.itemsize, member.file_size - file.tell())
        if why:
            raise _broken(path, f"{what} with {why}")
        file.seek(0)
        array: Array = npy.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)
        return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(file)
    if version not in VERSIONS:
        raise ValueError(f"version {version} of the format")
    read = npy.read_array_header_1_0 if version == VERSIONS[0] else npy.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    return shape, dtype


def _refuse_missing(name: str, members: dict[str, zipfile.ZipInfo], path: Path) -> None:
    if name not in members:
        names = [f"'{other}'" for other in members]
        more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
        raise DataError(
            f"an array '{name}' in {path}",
            f"{', '.join(names[:NUM_NAMED])}{more}" if names else "none",
            "Name the arrays of inputs and targets: npz_file(path, x=..., y=...).",
            code="SLP-319",
        )


def _broken(path: Path, came: str) -> DataError:
    return DataError(
        f"an npz file of plain arrays at {path.absolute()}",
        came,
        "Mend the path, or write it with numpy.savez.",
        code="SLP-318",
    )
