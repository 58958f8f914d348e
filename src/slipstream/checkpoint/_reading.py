"""How a checkpoint is read: not a byte of it is believed before it was verified."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import psutil
from numpy.typing import NDArray

from slipstream.checkpoint._arrays import bytes_of
from slipstream.checkpoint._disk import open_file, read_into
from slipstream.checkpoint._manifest import (
    ARRAYS_FILE,
    MANIFEST_FILE,
    MAX_JSON_BYTES,
    VALUES_FILE,
    FileName,
    Manifest,
    Name,
)
from slipstream.checkpoint.snapshot import Snapshot


class DamagedError(Exception):
    """A checkpoint that is not what was written; the message says why, without a full stop."""


def read(folder: Path) -> Snapshot:
    """Return what a checkpoint's folder holds.

    Args:
        folder: The folder, under the name that it was committed with.

    Raises:
        DamagedError: Something in it is missing, other than it was written, or no plain file.
        NewerVersionError: It is whole, but in a form that is not known here.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise DamagedError("it is no folder")
        manifest = _manifest(folder)
        values = _values(folder, manifest)
        arrays = _arrays(folder, manifest)
    except ValueError as error:
        raise DamagedError(str(error)) from None
    except OSError as error:
        raise DamagedError(_told(error)) from None
    except MemoryError:
        raise DamagedError("it does not fit into memory") from None
    return Snapshot(arrays, values, epoch=manifest.epoch, update=manifest.update)


def _told(error: OSError) -> str:
    name = Path(str(error.filename)).name if error.filename else "a file"
    if error.errno == errno.ENOENT:
        return f"{name} is missing"
    if error.errno == errno.ELOOP:
        return f"{name} is a link"
    return f"{name} cannot be read ({error.strerror or type(error).__name__})"


def _manifest(folder: Path) -> Manifest:
    content = _content(folder / MANIFEST_FILE)
    name = Name.parse(folder.name)
    # Before it is parsed: what was not written here is not looked at.
    if name is None or hashlib.sha256(content).hexdigest()[: len(name.digest)] != name.digest:
        raise ValueError(f"{MANIFEST_FILE} is not the one that was written")
    manifest = Manifest.decode(content)
    if Name.of(manifest, content) != name:
        raise ValueError(f"{MANIFEST_FILE} belongs to another checkpoint")
    return manifest


def _content(path: Path) -> bytes:
    with open_file(path) as (file, size):
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{path.name} has {size} bytes, more than {MAX_JSON_BYTES}")
        content = bytearray(size)
        read_into(file, memoryview(content))
    return bytes(content)


def _values(folder: Path, manifest: Manifest) -> dict[str, Any]:
    content = _content(folder / VALUES_FILE)
    _refuse_other(manifest, VALUES_FILE, len(content), hashlib.sha256(content).hexdigest())
    try:
        values = json.loads(content)
    except RecursionError:
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"{VALUES_FILE} holds no values by name")
    return values


def _arrays(folder: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Return the arrays. Their sizes were added up; they are the file's, and memory's."""
    digest, arrays = hashlib.sha256(), {}
    with open_file(folder / ARRAYS_FILE) as (file, size):
        _refuse_other_size(manifest, ARRAYS_FILE, size)
        if size > psutil.virtual_memory().total:
            raise ValueError(f"{ARRAYS_FILE} has {size} bytes, more than this machine's memory")
        for entry in manifest.arrays:
            array = entry.empty()
            if array.nbytes:
                view = bytes_of(array)
                read_into(file, view)
                digest.update(view)
            arrays[entry.name] = array
    _refuse_other(manifest, ARRAYS_FILE, size, digest.hexdigest())
    return arrays


def _refuse_other_size(manifest: Manifest, name: FileName, size: int) -> None:
    written = manifest.files[name].bytes
    if size != written:
        raise ValueError(f"{name} has {size} bytes where {written} were written")


def _refuse_other(manifest: Manifest, name: FileName, size: int, sha256: str) -> None:
    _refuse_other_size(manifest, name, size)
    if sha256 != manifest.files[name].sha256:
        raise ValueError(f"{name} does not hold the bytes that were written (SHA-256 differs)")
