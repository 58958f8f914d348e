"""Folders of images, one sub-folder a class: decoded when they are asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np

from slipstream.data import image_files
from slipstream.data.columns import Column, Rows
from slipstream.data.extras import needed
from slipstream.data.image_files import FORMATS, Unreadable
from slipstream.data.nests import Array
from slipstream.data.row_keys import Keys
from slipstream.data.splits import Split
from slipstream.errors import DataError

MODES = {"rgb": ("RGB", 3), "gray": ("L", 1)}
MOST_IDENTIFYING = 64
# Far above what an image of that many pixels takes.
MOST_READ_BYTES = 1 << 28


def image_folder(
    folder: str | Path,
    *,
    size: tuple[int, int],
    color: Literal["rgb", "gray"] = "rgb",
    classes: Sequence[str] | None = None,
    skip_unreadable: bool = False,
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
        skip_unreadable: Whether files that are no whole images are left out, and told, instead of
            refused. Each file is decoded once to know, by threads: about an epoch's work.

    Returns:
        A split with inputs uint8 (N, height, width, channels) and labels int64 (N,).

    Raises:
        DataError: The folder is missing, a class is empty, an image lies in no class, or files
            are not whole images: they are counted, and the first few named.

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
    found = [image_files.listed(root / name) for name in names]
    unreadable = [one for _, others in found for one in others]
    files = [images for images, _ in found]
    keys, broken = image_files.looked_at([file for images in files for file in images])
    if skip_unreadable:
        broken = image_files.decoded([file for images in files for file in images])
    unreadable += broken
    if unreadable and not skip_unreadable:
        raise _unreadable(root, unreadable)
    left_out = {one.file for one in unreadable}
    kept = [[file for file in images if file not in left_out] for images in files]
    _refuse_empty(root, names, kept, unreadable)
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(images) for images in kept])
    is_kept = np.array([file not in left_out for images in files for file in images], bool)
    together = tuple(file for images in kept for file in images)
    column = ImageFiles(together, size, color, keys[is_kept], tuple(unreadable))
    return Split(column, labels)


@final
class ImageFiles(Column):
    """Images of one size, uint8 (N, height, width, channels), read from their files.

    Args:
        files: Their paths.
        size: Height and width.
        color: "rgb" or "gray".
        keys: A number for the content of each file, shape (N,), uint64.
        left_out: The files beside them that were to be skipped.
    """

    keyed_by: ClassVar[Literal["values", "files"]] = "files"

    def __init__(
        self,
        files: tuple[str, ...],
        size: tuple[int, int],
        color: str,
        keys: Keys,
        left_out: tuple[Unreadable, ...] = (),
    ) -> None:
        self._mode, channels = MODES[color]
        super().__init__((len(files), *size, channels), np.uint8)
        self.files = files
        self.color = color
        self.left_out = left_out
        self._keys = keys

    def read(self, rows: Rows, out: Array) -> None:
        for place, row in enumerate(rows):
            out[place] = self._decoded(self.files[row])

    def row_keys(self) -> Keys:
        return self._keys

    @cached_property
    def kinds(self) -> tuple[Counter[str], dict[str, str]]:
        """How many files, of some, have which kind of pixels, and an example of each kind."""
        return image_files.kinds_among(self.files)

    def identity(self) -> Iterator[bytes]:
        yield repr((self.shape, self._mode)).encode()
        root = os.path.commonpath(self.files)
        for file in self.files:
            yield f"{os.path.relpath(file, root)} {Path(file).stat().st_size}\n".encode()
        step = -(-len(self.files) // MOST_IDENTIFYING)
        for file in self.files[::step]:
            with open(file, "rb") as opened:  # noqa: PTH123
                yield opened.read(MOST_READ_BYTES)

    def _decoded(self, file: str) -> Array:
        from PIL import Image

        height, width = self.shape[1:3]
        try:
            with Image.open(file, formats=FORMATS) as opened:
                image: Image.Image = opened
                why = image_files.refused(image)
                if why:
                    raise _broken(file, why)
                if image.mode != self._mode:
                    image = image.convert(self._mode)
                if image.size != (width, height):
                    image = image.resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(image).reshape(self.shape[1:])
        except image_files.errors() as error:
            raise _broken(file, image_files.in_words(file, error)) from None


def _class_names(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(
            f"a folder of images at {root.absolute()}",
            "a file" if root.exists() else "nothing",
            "Name the folder that holds one sub-folder for each class.",
            code="SLP-308",
        )
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise DataError(
            f"one sub-folder for each class in {root}",
            "no sub-folder",
            "Sort the images into folders that are named as their classes.",
            code="SLP-309",
        )
    strays = list(image_files.stray(root))
    if strays:
        raise DataError(
            f"every image below {root} in the folder of its class",
            f"{len(strays)} beside these folders, like {strays[0]}",
            "Move them into the folders of their classes, or out of this one.",
            code="SLP-312",
        )
    return names


def _unreadable(root: Path, unreadable: Sequence[Unreadable]) -> DataError:
    return DataError(
        f"whole JPEG or PNG images alone in the classes' folders below {root}",
        f"{len(unreadable)} other file{'s' if len(unreadable) > 1 else ''}:"
        f" {image_files.named(unreadable)}",
        "Convert, fetch again or move them, or have them left out: skip_unreadable=True.",
        code="SLP-310",
    )


def _refuse_empty(
    root: Path, names: Sequence[str], kept: Sequence[list[str]], unreadable: Sequence[Unreadable]
) -> None:
    empty = [name for name, images in zip(names, kept, strict=True) if not images]
    if not empty:
        return
    others = [one for one in unreadable if Path(one.file).is_relative_to(root / empty[0])]
    raise DataError(
        f"JPEG or PNG images in {root / empty[0]}, a class of its own",
        image_files.named(others) if others else "none",
        "Put images there, delete the folder, or name the classes with classes=[...].",
        code="SLP-311",
    )


def _broken(file: str, why: str) -> DataError:
    return DataError(
        f"a whole JPEG or PNG image at {file}",
        why,
        "Delete the file, fetch it again, or have such files left out: skip_unreadable=True.",
        code="SLP-310",
    )
