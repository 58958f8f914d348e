"""New images from old ones: what is drawn for each example of an epoch, and what is done with it.

Each kind draws on the host and changes images wherever they are: `xp` is NumPy, or `keras.ops` in
a training step. Both have the functions that are used here under the same names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# A NumPy array, or a tensor of the backend's.
Tensor = Any
Draws = NDArray[np.float32]
# All kinds, in the order in which they are applied; a kind's place is that of its stream.
KINDS = ("moves", "resized_crop", "rand_augment", "augmix", "erase", "mix")


class Kind(Protocol):
    """One way of changing images, each by itself."""

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return a row of numbers for each of `num` examples."""
        ...

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:
        """Return changed images, of the same shape (N, height, width, channels) and dtype."""
        ...


@dataclass(frozen=True)
class Moves:
    """Moves and mirrors images.

    Args:
        shift: Largest move along each axis, in pixels; what comes in from outside is 0. It is a
            random crop of images that were padded with as many zeros.
        flip: Whether every second image, by chance, is mirrored left to right.
        flip_vertical: Whether every second one is turned upside down.

    Example:
        >>> images = np.arange(4.0).reshape(1, 2, 2, 1)
        >>> moved = Moves(1, False, False).apply(images, np.array([[1, 0, 0, 0]]))
        >>> moved[0, :, :, 0].tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """

    shift: int
    flip: bool
    flip_vertical: bool

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (move down, move right, mirror, upside down)."""
        moves = random.integers(-self.shift, self.shift + 1, (num, 2))
        mirrors = random.integers(0, 2, (num, 2)) * [self.flip, self.flip_vertical]
        return np.concatenate([moves, mirrors], axis=1).astype(np.float32)

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:
        """See `Kind`; images are moved first."""
        _, height, width, _ = images.shape
        down, right, mirror, over = (whole(draws[:, i : i + 1], xp) for i in range(4))
        rows, columns = xp.arange(height)[None, :], xp.arange(width)[None, :]
        rows = xp.where(over == 1, height - 1 - rows, rows) - down
        columns = xp.where(mirror == 1, width - 1 - columns, columns) - right
        inside_rows = (rows >= 0) & (rows < height)
        inside_columns = (columns >= 0) & (columns < width)
        moved = pick(
            images,
            xp.clip(rows, 0, height - 1)[:, :, None],
            xp.clip(columns, 0, width - 1)[:, None, :],
            xp,
        )
        if not self.shift:
            return moved
        inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[..., None]
        return xp.where(inside, moved, xp.zeros_like(moved))


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts a part out of each image and blows it up to the image's size, bilinearly.

    The part has a share of the area that is uniform in area..1, and a ratio of width to height
    whose logarithm is uniform between those of 3/4 and 4/3, both as far as they fit.

    Args:
        area: The smallest share of the area.
        height, width: Of the images.

    Source: Szegedy et al., 2015, "Going deeper with convolutions" (arXiv:1409.4842).
    """

    area: float
    height: int
    width: int

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (top, left, height, width), in whole pixels."""
        return boxes(random, num, (self.area, 1.0), 4 / 3, self.height, self.width)

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:
        """See `Kind`."""
        top, left, height, width = (draws[:, i : i + 1] for i in range(4))
        rows = (floats(xp.arange(self.height), xp)[None, :] + 0.5) * height / self.height - 0.5
        columns = (floats(xp.arange(self.width), xp)[None, :] + 0.5) * width / self.width - 0.5
        # What lies outside of the part is not seen, not even by interpolation at its edges.
        rows = xp.minimum(xp.maximum(rows, 0.0), height - 1) + top
        columns = xp.minimum(xp.maximum(columns, 0.0), width - 1) + left
        return like(images, bilinear(images, rows[:, :, None], columns[:, None, :], xp), xp)


@dataclass(frozen=True)
class Erase:
    """Covers a box in some of the images with one random colour.

    Args:
        probability: Share of the images that lose a box.
        area: Largest share of an image that a box covers; the smallest is 0.02, or that.
        shape: (height, width, channels) of the images.
        low, high: The range of their values; a colour is uniform in it.

    Source: Zhong et al., 2020, "Random erasing data augmentation" (arXiv:1708.04896); there the
    box has a random value in each pixel, or the same mean value in all.
    """

    probability: float
    area: float
    shape: tuple[int, int, int]
    low: float
    high: float

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (top, left, height, width, colour in each channel)."""
        height, width, channels = self.shape
        shares = (min(0.02, self.area), self.area)
        drawn = boxes(random, num, shares, 10 / 3, height, width)
        drawn[:, 2:] *= random.random((num, 1)) < self.probability
        colours = random.uniform(self.low, self.high, (num, channels))
        return np.concatenate([drawn, colours], axis=1).astype(np.float32)

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:
        """See `Kind`."""
        covered = inside(draws[:, :4], self.shape[0], self.shape[1], xp)
        return xp.where(covered, like(images, draws[:, None, None, 4:], xp), images)


@dataclass(frozen=True)
class Mix:
    """Mixes each example with another one of its update; labels are mixed by the same shares.

    Each weight is drawn from Beta(alpha, alpha). MixUp averages two images by it. CutMix covers a
    box that has 1 - weight of the area, about a uniform centre, with what the other image has
    there; what remains of the box within the image counts. With both, each example has either.

    Args:
        mixup: Alpha of MixUp; 0 is off.
        cutmix: Alpha of CutMix; 0 is off.
        height, width: Of the images.

    Source: Zhang et al., 2018 (arXiv:1710.09412), Yun et al., 2019 (arXiv:1905.04899).
    """

    mixup: float
    cutmix: float
    height: int
    width: int

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (own weight, top, left, height, width, share of the own label)."""
        cuts = random.integers(0, 2, num).astype(bool) if self.mixup else np.ones(num, bool)
        cuts &= self.cutmix > 0
        weights = random.beta(self.mixup, self.mixup, num) if self.mixup else np.ones(num)
        weights[cuts] = 1.0
        drawn = np.zeros((num, 4))
        if self.cutmix:
            drawn[cuts] = self._boxes(random, num)[cuts]
        shares = weights - drawn[:, 2] * drawn[:, 3] / (self.height * self.width)
        return np.column_stack([weights, drawn, shares]).astype(np.float32)

    def _boxes(self, random: np.random.Generator, num: int) -> NDArray[np.float64]:
        sides = np.sqrt(1.0 - random.beta(self.cutmix, self.cutmix, num))
        starts, ends = [], []
        for size in (self.height, self.width):
            length = np.round(sides * size)
            start = np.round(random.uniform(0, size, num) - length / 2)
            starts.append(np.clip(start, 0, size))
            ends.append(np.clip(start + length, 0, size))
        return np.stack([*starts, *(e - s for s, e in zip(starts, ends, strict=True))], axis=1)

    def apply(self, images: Tensor, others: Tensor, draws: Tensor, xp: Any = np) -> Tensor:
        """Return arrays of shape (N, ...) mixed with others of that shape; boxes are of images."""
        mixed = images
        if self.mixup:
            weights = xp.reshape(draws[:, 0], (-1,) + (1,) * (len(images.shape) - 1))
            mixed = weights * floats(images, xp) + (1.0 - weights) * floats(others, xp)
            mixed = like(images, mixed, xp)
        if self.cutmix and len(images.shape) == 4:
            mixed = xp.where(inside(draws[:, 1:5], self.height, self.width, xp), others, mixed)
        return mixed


def draw_all(kinds: Mapping[str, Any], num: int, seed: int, epoch: int) -> dict[str, Draws]:
    """Return what is drawn for each example of an epoch, by kind: rows in the epoch's order.

    Each kind has a stream of its own, so that none changes what another one draws, nor the order
    of the examples, which is drawn from stream 0.

    Args:
        kinds: The kinds, by their names in KINDS.
        num: How many examples there are.
        seed: The plan's seed.
        epoch: The epoch, from 0.
    """
    draws = {}
    for name, kind in kinds.items():
        stream = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, 1 + KINDS.index(name)])
        draws[name] = kind.draw(np.random.Generator(stream), num)
    return draws


def value_range(images: NDArray[Any]) -> tuple[float, float]:
    """Return the range of images' values: 0 to 255, 0 to 1, or what the images themselves have.

    Example:
        >>> value_range(np.array([0, 7], "uint8")), value_range(np.array([0.0, 0.9]))
        ((0.0, 255.0), (0.0, 1.0))
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    # A range without extent has no middle either.
    return (0.0, 255.0) if low >= 0 and high <= 255 else (low, max(high, low + 1.0))


def boxes(
    random: np.random.Generator,
    num: int,
    shares: tuple[float, float],
    ratio: float,
    height: int,
    width: int,
) -> Draws:
    """Return boxes within images, rows of (top, left, height, width), in whole pixels.

    Args:
        random: What draws them.
        num: How many.
        shares: Least and greatest share of the area.
        ratio: Greatest ratio of width to height; the least is its inverse.
        height, width: Of the images.
    """
    area = random.uniform(*shares, num) * height * width
    ratios = np.exp(random.uniform(-math.log(ratio), math.log(ratio), num))
    heights = np.clip(np.round(np.sqrt(area / ratios)), 1, height)
    widths = np.clip(np.round(np.sqrt(area * ratios)), 1, width)
    tops = np.floor(random.random(num) * (height - heights + 1))
    lefts = np.floor(random.random(num) * (width - widths + 1))
    return np.stack([tops, lefts, heights, widths], axis=1).astype(np.float32)


def inside(drawn: Tensor, height: int, width: int, xp: Any = np) -> Tensor:
    """Return whether pixels lie in boxes (top, left, height, width): (N, height, width, 1)."""
    top, left, tall, wide = (whole(drawn[:, i : i + 1], xp) for i in range(4))
    rows, columns = xp.arange(height)[None, :], xp.arange(width)[None, :]
    in_rows = (rows >= top) & (rows < top + tall)
    in_columns = (columns >= left) & (columns < left + wide)
    return (in_rows[:, :, None] & in_columns[:, None, :])[..., None]


def pick(images: Tensor, rows: Tensor, columns: Tensor, xp: Any = np) -> Tensor:
    """Return the pixels at rows and columns, integers whose shapes make (N, h, w) together."""
    num, height, width, channels = images.shape
    firsts = xp.arange(num)[:, None, None] * (height * width)
    index = firsts + rows * width + columns
    flat = xp.reshape(images, (num * height * width, channels))
    picked = xp.take(flat, xp.reshape(index, (-1,)), axis=0)
    return xp.reshape(picked, (*index.shape, channels))


def bilinear(images: Tensor, rows: Tensor, columns: Tensor, xp: Any = np) -> Tensor:
    """Return float32 values between pixels, at rows and columns within the images."""
    _, height, width, _ = images.shape
    top, left = xp.floor(rows), xp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    tops, lefts = whole(top, xp), whole(left, xp)
    bottoms = xp.minimum(tops + 1, height - 1)
    rights = xp.minimum(lefts + 1, width - 1)
    one, two, three, four = (
        floats(pick(images, r, c, xp), xp) for r in (tops, bottoms) for c in (lefts, rights)
    )
    upper = one * (1.0 - right) + two * right
    lower = three * (1.0 - right) + four * right
    return upper * (1.0 - down) + lower * down


def whole(values: Tensor, xp: Any = np) -> Tensor:
    """Return values as int32."""
    return values.astype(np.int32) if xp is np else xp.cast(values, "int32")


def floats(values: Tensor, xp: Any = np) -> Tensor:
    """Return values as float32."""
    return values.astype(np.float32) if xp is np else xp.cast(values, "float32")


def like(images: Tensor, values: Tensor, xp: Any = np) -> Tensor:
    """Return values in the dtype of images, rounded where that has whole numbers alone."""
    if "int" in str(images.dtype):
        values = xp.round(values)
    return values.astype(images.dtype) if xp is np else xp.cast(values, images.dtype)
