"""Which files of a folder are images, and which are not: told before any is trained on."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.data.row_keys import Keys
from slipstream.errors import DataError
from slipstream.files import is_other_than_file

ENDINGS = (".jpg", ".jpeg", ".png")
# What systems leave behind in folders of images; names with a dot at the beginning are passed over
# as well.
LEFT_BY_SYSTEMS = frozenset({"desktop.ini", "thumbs.db"})
FORMATS = ("JPEG", "PNG")
# What whole files begin with, and what they end with.
SIGNATURES = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))
PIECE_BYTES = 64
MOST_LOOKED_INTO = 512
MOST_NAMED = 5
# Where Pillow begins to warn: a quarter of a gibibyte in three channels, from a file of any size.
MOST_PIXELS = 2**30 // 4 // 3
# Kinds of pixels, by the names that Pillow gives them.
GRAY, COLOR, ALPHA, DEEP = "grey", "colour", "transparent", "16-bit"
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("1", "L"), GRAY),
    **dict.fromkeys(("RGB", "P", "CMYK", "YCbCr"), COLOR),
    **dict.fromkeys(("LA", "PA", "RGBA", "La", "RGBa"), ALPHA),
    **dict.fromkeys(("I", "F", "I;16", "I;16B", "I;16L", "I;16N"), DEEP),
}


@dataclass(frozen=True)
class Unreadable:
    """A file that is no whole image, and what it is instead."""

    file: str
    why: str


def listed(folder: Path) -> tuple[list[str], list[Unreadable]]:
    """Return the images below the folder of a class, sorted, and the files that are none.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"a folder of images at {folder.absolute()}",
            "nothing",
            "Mend its name in classes=[...], or make it.",
            code="SLP-307",
        )
    images: list[str] = []
    others: list[Unreadable] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS:
                continue
            path = os.path.join(place, name)  # noqa: PTH118
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
            if ending in ENDINGS:
                images.append(path)
            else:
                others.append(Unreadable(path, f"neither JPEG nor PNG ({ending or 'no ending'})"))
    return sorted(images), sorted(others, key=lambda other: other.file)


def looked_at(files: Sequence[str]) -> tuple[Keys, list[Unreadable]]:
    """Read beginning, middle and end of files; returns a key of each, and those that are broken.

    What begins and ends as images do is taken for one; all else is decoded.
    """
    keys = np.zeros(len(files), np.uint64)
    broken = []
    for place, file in enumerate(files):
        ends, keys[place] = _pieces(file)
        why = "" if _is_whole(ends) else why_not(file)
        if why:
            broken.append(Unreadable(file, why))
    return keys, broken


def decoded(files: Sequence[str]) -> list[Unreadable]:
    """Decode all of the files, by threads, and return those that cannot be."""
    with ThreadPoolExecutor() as pool:
        reasons = pool.map(why_not, files)
        return [Unreadable(file, why) for file, why in zip(files, reasons, strict=True) if why]


def why_not(file: str) -> str:
    """Decode a file and return what is wrong with it; "" for a whole image of 8 bits a channel."""
    from PIL import Image

    try:
        if not os.path.getsize(file):  # noqa: PTH202
            return "an empty file"
        if is_other_than_file(file):
            return "a pipe, a device or a folder"
        with Image.open(file, formats=FORMATS) as image:
            why = refused(image)
            if not why:
                image.load()
            return why
    except errors() as error:
        return in_words(file, error)


def errors() -> tuple[type[Exception], ...]:
    """Return what Pillow raises for files that are no whole images; large ones are told apart."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    return (OSError, SyntaxError, ValueError, MemoryError, *bombs)


def refused(image: Any) -> str:
    """Return why an image that was opened is not decoded; "" where it is."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        return f"an image of {width} by {height} pixels, more than {MOST_PIXELS:,} in all"
    return refused_kind(image.mode)


def refused_kind(mode: str) -> str:
    """Return why images of a mode are not taken; "" for those that are.

    Example:
        >>> refused_kind("I;16")
        'an image of 16 bits a channel, which would be cut off at 255'
    """
    deep = KINDS.get(mode) == DEEP
    return "an image of 16 bits a channel, which would be cut off at 255" if deep else ""


def in_words(file: str, error: Exception) -> str:
    """Return what Pillow said of a file, without the file's name."""
    if not Path(file).exists():
        return "no such file any more"
    said = str(error).replace(f" {file!r}", "").replace(f"'{file}'", "the file")
    return said or "no image"


def kinds_among(files: Sequence[str]) -> tuple[Counter[str], dict[str, str]]:
    """Return how many files have which kind of pixels, and an example of each kind.

    At most `MOST_LOOKED_INTO` files count, evenly spread: each is opened, none is decoded.
    """
    from PIL import Image

    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    places = np.linspace(0, len(files) - 1, min(MOST_LOOKED_INTO, len(files)))
    for place in np.unique(places.astype(np.int64)):
        file = files[place]
        try:
            with Image.open(file, formats=FORMATS) as image:
                kind = _kind(image)
        except errors():
            # Whoever decodes it says so, with its name.
            continue
        counts[kind] += 1
        examples.setdefault(kind, file)
    return counts, examples


def named(unreadable: Sequence[Unreadable]) -> str:
    """Return the first few of the files, each with what is wrong with it.

    Example:
        >>> named([Unreadable("a/1.png", "an empty file")])
        'a/1.png (an empty file)'
    """
    shown = ", ".join(f"{one.file} ({one.why})" for one in unreadable[:MOST_NAMED])
    more = len(unreadable) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _kind(image: Any) -> str:
    if "transparency" in image.info:
        return ALPHA
    return KINDS.get(image.mode, COLOR)


def _pieces(file: str) -> tuple[tuple[bytes, bytes], int]:
    """Return first and last bytes of a file, and a key of its content."""
    digest = hashlib.blake2b(digest_size=8)
    if is_other_than_file(file):
        return (b"", b""), 0
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            head = opened.read(PIECE_BYTES)
            size = opened.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8, "little") + head)
            opened.seek(size // 2)
            digest.update(opened.read(PIECE_BYTES))
            opened.seek(max(0, size - PIECE_BYTES))
            tail = opened.read()
    except OSError:
        return (b"", b""), 0
    digest.update(tail)
    return (head, tail), int.from_bytes(digest.digest(), "little")


def _is_whole(ends: tuple[bytes, bytes]) -> bool:
    head, tail = ends
    return any(head.startswith(first) and tail.endswith(last) for first, last in SIGNATURES)


def stray(root: Path) -> Iterator[str]:
    """Yield images that lie beside the classes' folders, in none of them."""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_file() and entry.name.lower().endswith(ENDINGS) and entry.name[0] != ".":
            yield entry.path
