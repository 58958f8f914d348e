"""New images from old ones: shifts and mirror images, drawn anew in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.splits import Arrays, map_arrays

# Tells the augmentation's random stream from that of the data order.
STREAM = 1


@dataclass(frozen=True)
class Augmentation:
    """Moves and mirrors images of shape (N, height, width, channels).

    Args:
        shift: Largest move along each axis, in pixels; what comes in from outside is 0.
        flip: Whether every second image, by chance, is mirrored left to right.

    Example:
        >>> images = np.arange(4.0).reshape(1, 2, 2, 1)
        >>> moved = Augmentation(shift=1, flip=False).apply(images, np.array([[1, 0, 0]]))
        >>> moved[0, :, :, 0].tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """

    shift: int
    flip: bool

    @property
    def is_on(self) -> bool:
        """Whether it changes anything."""
        return self.shift > 0 or self.flip

    def draw(self, num_examples: int, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return a row (move down, move right, mirror) for each example of an epoch."""
        random = np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, STREAM]))
        moves = random.integers(-self.shift, self.shift + 1, (num_examples, 2))
        mirrors = random.integers(0, 2, (num_examples, 1)) * int(self.flip)
        return np.concatenate([moves, mirrors], axis=1)

    def apply(self, images: Arrays, draws: NDArray[np.int64]) -> Arrays:
        """Return changed copies; arrays that are no images stay as they are."""
        return map_arrays(lambda a: self._apply(a, draws) if a.ndim == 4 else a, images)

    def _apply(self, images: NDArray[Any], draws: NDArray[np.int64]) -> NDArray[Any]:
        num, height, width, _ = images.shape
        pad = self.shift
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        rows = np.arange(height) - draws[:, :1] + pad
        columns = np.arange(width)[None, :].repeat(num, 0)
        columns = np.where(draws[:, 2:3] == 1, width - 1 - columns, columns)
        columns = columns - draws[:, 1:2] + pad
        moved: NDArray[Any] = padded[
            np.arange(num)[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return moved
