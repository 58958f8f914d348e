"""Files that somebody made up with care: each is to be refused, or read without harm."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from torture import models
from torture.formats import Format


class Payload:
    """What would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("id > owned",)


def crafted(every: list[Format]) -> Iterator[tuple[Format, str, bytes | Callable[[Path], object]]]:
    """Yield a format, what is done, and content for it, or what puts something into its place."""
    by_name = {one.name: one for one in every}
    for why, content in _archives():
        yield by_name["npz"], why, content
    for why, content in _headers():
        yield by_name["npy in npz"], why, content
    for axes in ((2**32 - 1,) * 3, (0, 2**32 - 1), (2**32 - 1, 0), (2**16,) * 4, (1,) * 32):
        content = bytes([0, 0, 14, len(axes)]) + struct.pack(f">{len(axes)}I", *axes)
        yield by_name["idx"], f"axes {axes[:3]}", content
        yield by_name["idx in gz"], f"axes {axes[:3]}", content
    sizes = struct.pack(">4BI", 0, 0, 8, 1, 10)
    yield by_name["idx.gz"], "a bomb", gzip.compress(sizes + bytes(100_000_000))
    for size in ((65_535, 65_535), (30_000, 30_000), (2**31 - 1, 1), (0, 0)):
        head = struct.pack(">2I5B", *size, 8, 2, 0, 0, 0)
        yield by_name["chunks in png"], f"{size} pixels", head + bytes(1000)
    yield by_name["csv"], "many columns", b"," * 900_000 + b"\n"
    yield by_name["csv in csv.gz"], "a long line", b"a,kind\n" + b"1" * 50_000_000
    for name in ("record", "notes", "landscape", "study", "handed over"):
        for levels in (99, 990, 100_000):
            content = by_name[name].content
            deep = b'"deep": ' + b"[" * levels + b"]" * levels + b", "
            yield by_name[name], f"{levels} levels", content.replace(b"{", b"{" + deep, 1)
    for line in ("[" * 5000, "a." * 5000 + "a = 1", f"[{'a.' * 5000}a]\n" + "b.c = 1\n" * 999):
        yield by_name["plan"], line[:9], line.encode()
    for why, content in models.made_up_weights():
        yield by_name["weights"], why, content
        yield by_name["weights in keras"], why, content
    for why, content in models.made_up_models():
        yield by_name["keras"], why, content
    for why, content in models.made_up_journals():
        yield by_name["journal"], why, content
    for one in every:
        if not one.file:
            continue
        if one.name != "plan":
            # A plan may come out of a pipe: whoever names one waits for it.
            yield one, "a pipe", os.mkfifo
        yield one, "a link to zeros", partial(os.symlink, "/dev/zero")
        yield one, "a link to nothing", partial(os.symlink, "nothing")
        yield one, "a link to itself", partial(os.symlink, Path(one.file).name)
        yield one, "a folder", os.mkdir


def _archives() -> Iterator[tuple[str, bytes]]:
    array = _npy(np.arange(6))
    for name in (
        "../x.npy",
        "/tmp/x.npy",
        "x.npy/../../y.npy",
        "x\0.npy",
        "C:\\x.npy",
        "x" * 60_000,
    ):
        yield f"a member {name[:20]!r}", _zip({"x.npy": array, "y.npy": array, name: array})
    yield "an archive in an archive", _zip({"x.npy": _zip({"x.npy": array}), "y.npy": array})
    yield "objects", _zip({"x.npy": _npy(np.array([Payload()], object)), "y.npy": array})
    yield "a pickle", pickle.dumps(Payload())
    yield "a pickle as a member", _zip({"x.npy": pickle.dumps(Payload()), "y.npy": array})
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield (
            f"packing {method}",
            _zip({"x.npy": array + bytes(10_000_000), "y.npy": array}, method),
        )
    bomb = bytearray(_zip({"x.npy": array, "y.npy": array}))
    for place in _places(bytes(bomb), b"PK\x01\x02"):
        # The unpacked size, as the directory has it.
        bomb[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    yield "members of 4 GiB", bytes(bomb)
    locked = bytearray(_zip({"x.npy": array, "y.npy": array}))
    for place in _places(bytes(locked), b"PK\x01\x02"):
        locked[place + 8] |= 1
    yield "encrypted members", bytes(locked)


def _headers() -> Iterator[tuple[str, bytes]]:
    for descr, shape in (
        ("'<f8'", "(10**15,)"), ("'<f8'", "(1000000000000000,)"), ("'<f8'", "(-1, -6)"),
        ("'|O'", "(1,)"),
        ("'<U0'", "(1000000000000000,)"), ("'<U999999999'", "(1,)"), ("[('a', '|O')]", "(1,)"),
        ("('<f8', (1000000,))", "(1000000,)"), ("'<f8'", "(True,)"), ("'<f8'", "(" * 900),
        ("'<f8'", "(0, 1000000000000000)"), ("__import__('os').system('id > owned')", "()"),
        ("'<f8'", "(" + "1," * 64 + ")"), ("'M8[s]'", "(3,)"), ("'<f8'", f"({'9' * 5000},)"),
    ):  # fmt: skip
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        yield f"{descr} of {shape[:20]}", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    yield "a header of 4 GiB", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 100


def _npy(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=True)
    return sink.getvalue()


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def _places(content: bytes, mark: bytes) -> Iterator[int]:
    place = content.find(mark)
    while place >= 0:
        yield place
        place = content.find(mark, place + 1)
