"""Models and weights in Keras' files, looked at before Keras reads them.

Keras' safe mode refuses code. It still makes arrays of up to 4 GiB that a file only declares, asks
after what links lead to, and unpacks what is packed. Nothing that Keras writes needs any of that:
its archives are not packed, its arrays lie in one piece. So only such files are handed on.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import h5py
from h5py import h5d, h5o

from slipstream.data.bounds import why_no_room
from slipstream.files import MOST_TEXT_BYTES, is_other_than_file, values_in

CONFIG, WEIGHTS, ASSETS = "config.json", "model.weights.h5", "assets/"
MEMBERS = ("metadata.json", CONFIG, WEIGHTS)
# Each level of a model within a model takes two.
MOST_LEVELS = 100
# Keras notes a name on groups, and on arrays a type.
MOST_ATTRIBUTES, MOST_ATTRIBUTE_BYTES = 16, 4096
ENCRYPTED = 1
IN_ONE_PIECE = (h5d.COMPACT, h5d.CONTIGUOUS)
# Numbers, and what has two bytes or one and no type of its own in HDF5: bfloat16, float8.
KINDS, MOST_UNTYPED_BYTES = "biufc", 2


def why_not_weights(path: Path) -> str:
    """Return why a file is not given to Keras as weights; "" where it is as Keras writes them.

    Args:
        path: A file of HDF5, or what is said to be one.
    """
    try:
        if is_other_than_file(path):
            return "no file, but a pipe, a device or a folder"
        return _why_not_read(path, path.stat().st_size)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror or type(error).__name__})"


def why_not_model(path: Path) -> str:
    """Return why a file is not given to Keras as a model; "" where it is as Keras writes them.

    Args:
        path: An archive with a configuration and weights, or what is said to be one.
    """
    try:
        if is_other_than_file(path):
            return "no file, but a pipe, a device or a folder"
        with zipfile.ZipFile(path) as archive:
            return _why_no_members(archive.infolist(), path.stat().st_size) or _why_no_model(
                archive
            )
    # What is encrypted, or packed as nobody knows, raises errors of Python's own.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        return f"a broken archive ({type(error).__name__})"


def _why_no_members(members: Sequence[zipfile.ZipInfo], size: int) -> str:
    for member in members:
        name = member.filename
        inside = name.startswith(ASSETS) and not {"", ".", ".."} & set(name[:-1].split("/"))
        if name not in MEMBERS and (not inside or "\\" in name or ":" in name):
            return f"a member {name[:60]!r}, which Keras does not write"
        packed = member.compress_type != zipfile.ZIP_STORED
        if packed or member.flag_bits & ENCRYPTED or member.file_size != member.compress_size:
            return f"{name[:60]!r} packed or encrypted, which Keras does not write"
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        return "two members of one name"
    if not {CONFIG, WEIGHTS} <= set(names):
        return f"an archive without {CONFIG} and {WEIGHTS}"
    if sum(member.file_size for member in members) > size:
        return "members that declare more bytes than the file has"
    return ""


def _why_no_model(archive: zipfile.ZipFile) -> str:
    size = archive.getinfo(WEIGHTS).file_size
    if archive.getinfo(CONFIG).file_size > MOST_TEXT_BYTES:
        return f"a {CONFIG} of more than {MOST_TEXT_BYTES:,} bytes"
    # As much as Keras takes a moment later.
    if why := why_no_room(size):
        return why
    try:
        values_in(archive.read(CONFIG).decode(), MOST_LEVELS)
    except (ValueError, json.JSONDecodeError) as error:
        return f"a {CONFIG} that cannot be read ({str(error).splitlines()[0][:100]})"
    return _why_not_read(io.BytesIO(archive.read(WEIGHTS)), size)


def _why_not_read(source: Path | IO[bytes], size: int) -> str:
    try:
        with h5py.File(source, "r") as file:
            return _why_odd(file, size)
    except Exception as error:  # What a broken file makes HDF5 raise has no common class.
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        return f"a file that HDF5 cannot read ({said})"


def _why_odd(file: h5py.File, size: int) -> str:
    """Go through all groups without following a link, and look at every array in them."""
    level, seen = [file["/"]], set()
    for _ in range(MOST_LEVELS):
        groups = []
        for group in level:
            where = h5o.get_info(group.id).addr
            if where in seen:
                continue
            seen.add(where)
            if why := _why_attributes_odd(group):
                return why
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    return f"{name[:60]!r}, a link to somewhere else"
                inner = group[name]
                if isinstance(inner, h5py.Group):
                    groups.append(inner)
                elif not isinstance(inner, h5py.Dataset):
                    return f"{name[:60]!r}, which is no array"
                elif why := _why_array_odd(inner, size) or _why_attributes_odd(inner):
                    return f"{name[:60]!r}, {why}"
        if not groups:
            return ""
        level = groups
    return "groups nested without end"


def _why_array_odd(array: h5py.Dataset, size: int) -> str:
    properties = array.id.get_create_plist()
    layout = properties.get_layout()
    if layout == h5d.VIRTUAL or properties.get_external_count():
        return "an array that lies in another file"
    if layout not in IN_ONE_PIECE or properties.get_nfilters():
        return "an array that is packed or cut up"
    dtype: Any = array.dtype
    untyped = dtype.kind == "V" and dtype.names is None and dtype.subdtype is None
    if dtype.kind not in KINDS and not (untyped and dtype.itemsize <= MOST_UNTYPED_BYTES):
        return f"an array of type {str(dtype)[:40]}"
    if array.nbytes != array.id.get_storage_size() or array.nbytes > size:
        return f"an array that declares {array.nbytes} bytes, which are not in the file"
    return ""


def _why_attributes_odd(item: h5py.Group | h5py.Dataset) -> str:
    if len(item.attrs) > MOST_ATTRIBUTES:
        return "more notes than Keras writes"
    for name in item.attrs:
        note = item.attrs.get_id(name)
        if note.shape != () or note.get_storage_size() > MOST_ATTRIBUTE_BYTES:
            return "a note that is not one of Keras'"
    return ""
