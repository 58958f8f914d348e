"""Small folders of images to test with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_folder(root: Path, per_class: int, size: int = 8, classes: int = 2) -> np.ndarray:
    """Write PNGs, and a JPEG in each class; returns what a plain decoder sees, in their order."""
    random = np.random.default_rng(0)
    seen = []
    for name in range(classes):
        folder = root / f"class_{name}"
        folder.mkdir(parents=True)
        for number in range(per_class):
            pixels = random.integers(0, 256, (size, size, 3), np.uint8)
            path = folder / f"{number:03d}.{'jpg' if number == 0 else 'png'}"
            Image.fromarray(pixels).save(path)
            seen.append(np.asarray(Image.open(path)))
    return np.stack(seen)
