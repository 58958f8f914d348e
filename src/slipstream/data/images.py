"""Folders of images, one sub-folder a class: decoded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, final

import numpy as np

from slipstream.data.columns import Column, Rows
from slipstream.data.extras import needed
from slipstream.data.nests import Array
from slipstream.data.splits import Split
from slipstream.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png")
# Somebody would miss these: they are refused, not passed over.
OTHER_ENDINGS = (".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG")
MODES = {"rgb": ("RGB", 3), "gray": ("L", 1)}
# What whole files begin with, and what they end with.
SIGNATURES = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))
MOST_IDENTIFYING = 64


def image_folder(
    folder: str | Path,
    *,
    size: tuple[int, int],
    color: Literal["rgb", "gray"] = "rgb",
    classes: Sequence[str] | None = None,
) -> Split:
    """Return the images of a folder that has one sub-folder for each class.

    Files are looked at now, as far as that is quick, and decoded when they are trained on: the
    plan's section [data] says how many threads decode, and what is kept of it. Images of another
    size are resized, bilinearly and without keeping their proportions, as Keras' own loader does.

    Args:
        folder: The folder. JPEG and PNG files count, in sub-folders of the classes' folders too.
        size: Height and width, in pixels.
        color: "rgb" for 3 channels, "gray" for 1.
        classes: The sub-folders, in the order of their labels; all of them by name if None.

    Returns:
        A split with inputs uint8 (N, height, width, channels) and labels int64 (N,).

    Raises:
        DataError: The folder is missing, a class is empty, or a file is not a whole image.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     Image.new("RGB", (8, 8), "red").save(root / name / "1.png")
        >>> split = image_folder(root, size=(8, 8))
        >>> split.x.shape, split.y.tolist(), split.x[0][0, 0].tolist()
        ((2, 8, 8, 3), [0, 1], [255, 0, 0])
    """
    needed("PIL.Image")
    root = Path(folder)
    names = list(classes) if classes is not None else _class_names(root)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = sorted(_images_below(root / name))
        if not found:
            raise DataError(
                f"JPEG or PNG images in {root / name}, a class of its own",
                "none",
                "Put images there, delete the folder, or name the classes with classes=[...].",
            )
        files += found
        labels += [label] * len(found)
    for file in files:
        _refuse_broken(file)
    return Split(ImageFiles(tuple(files), size, color), np.array(labels, np.int64))


@final
class ImageFiles(Column):
    """Images of one size, uint8 (N, height, width, channels), read from their files.

    Args:
        files: Their paths.
        size: Height and width.
        color: "rgb" or "gray".
    """

    def __init__(self, files: tuple[str, ...], size: tuple[int, int], color: str) -> None:
        self._mode, channels = MODES[color]
        super().__init__((len(files), *size, channels), np.uint8)
        self._files = files

    def read(self, rows: Rows, out: Array) -> None:
        for place, row in enumerate(rows):
            out[place] = self._decoded(self._files[row])

    def identity(self) -> Iterator[bytes]:
        yield repr((self.shape, self._mode)).encode()
        root = os.path.commonpath(self._files)
        for file in self._files:
            yield f"{os.path.relpath(file, root)} {Path(file).stat().st_size}\n".encode()
        step = -(-len(self._files) // MOST_IDENTIFYING)
        for file in self._files[::step]:
            yield Path(file).read_bytes()

    def _decoded(self, file: str) -> Array:
        from PIL import Image

        height, width = self.shape[1:3]
        try:
            with Image.open(file, formats=FORMATS) as opened:
                image: Image.Image = opened
                if image.mode != self._mode:
                    image = image.convert(self._mode)
                if image.size != (width, height):
                    image = image.resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(image).reshape(self.shape[1:])
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise _broken(file, error) from None


def _class_names(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(
            f"a folder of images at {root.absolute()}",
            "a file" if root.exists() else "nothing",
            "Name the folder that holds one sub-folder for each class.",
        )
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise DataError(
            f"one sub-folder for each class in {root}",
            "no sub-folder",
            "Sort the images into folders that are named as their classes.",
        )
    return names


def _images_below(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        raise DataError(
            f"a folder of images at {folder.absolute()}",
            "nothing",
            "Mend its name in classes=[...], or make it.",
        )
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
            if name.startswith("."):
                continue
            path = os.path.join(place, name)  # noqa: PTH118
            if ending in OTHER_ENDINGS:
                raise DataError(
                    "JPEG and PNG images alone",
                    path,
                    "Convert it to PNG, or move it out of the folder.",
                )
            if ending in ENDINGS:
                yield path


def _refuse_broken(file: str) -> None:
    """Refuse a file that does not begin and end as images do, and cannot be decoded either."""
    with open(file, "rb") as opened:  # noqa: PTH123
        head = opened.read(8)
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - 8))
        tail = opened.read()
    if any(head.startswith(first) and tail.endswith(last) for first, last in SIGNATURES):
        return
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _broken(file, error) from None


def _broken(file: str, error: Exception) -> DataError:
    said = str(error).replace(f" {file!r}", "").replace(f"'{file}'", "the file") or "no image"
    return DataError(
        f"a whole JPEG or PNG image at {file}", said, "Delete the file, or fetch it again."
    )
