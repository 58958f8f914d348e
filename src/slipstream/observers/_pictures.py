"""Many small pictures as one, each with a caption below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tiles are as wide as a caption needs; pixels are repeated, not blurred.
WIDTH, CAPTION_HEIGHT, GAP = 112, 14, 6


def sheet(images: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.uint8]:
    """Return images of shape (N, height, width, 1 or 3) on one sheet, shape (H, W, 3).

    Example:
        >>> sheet(np.zeros((3, 28, 28, 1), np.uint8), ["3 as 5", "1 as 7", "4 as 9"]).shape
        (270, 242, 3)
    """
    # Here: the import is for runs whose plan asks for pictures.
    from PIL import Image, ImageDraw

    factor = max(1, WIDTH // images.shape[2])
    height, width = images.shape[1] * factor, max(WIDTH, images.shape[2] * factor)
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    size = (
        columns * (width + GAP) + GAP,
        rows * (height + CAPTION_HEIGHT + GAP) + GAP,
    )
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(place, columns)
        left = GAP + column * (width + GAP)
        top = GAP + row * (height + CAPTION_HEIGHT + GAP)
        page.paste(Image.fromarray(_enlarged(image, factor)), (left, top))
        pen.text((left, top + height), caption, fill="black")
    return np.asarray(page)


def _enlarged(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    colours: NDArray[Any] = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    return np.ascontiguousarray(colours.repeat(factor, axis=0).repeat(factor, axis=1))
