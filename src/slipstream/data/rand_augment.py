"""RandAugment and AugMix: a few operations out of many for each image, on the host.

Each image goes through its own operations alone. In a compiled step every image would have to go
through all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.augmentation import Draws, Tensor, bilinear, like

# float32 images with values in 0..1, shape (N, height, width, channels).
Images = NDArray[np.float32]
# From images, how strong (N,), 0..1, and in which direction (N,), -1 or 1.
Operation = Callable[[Images, NDArray[Any], NDArray[Any]], Images]


@dataclass(frozen=True)
class RandAugment:
    """Puts each image through operations drawn at random, one after the other, at one strength.

    Args:
        num_operations: How many for each image.
        strength: 0..1; at 1 shapes turn by 30 degrees, shear by 0.3, move by 0.3 of their size.
        low, high: The range of the images' values.

    Source: Cubuk et al., 2020, "RandAugment" (arXiv:1909.13719), with its 14 operations, their
    sizes at magnitude 10 being strength 1.
    """

    num_operations: int
    strength: float
    low: float
    high: float

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (operation, direction) for each operation, as shares of 1 to be scaled."""
        return random.random((num, 2 * self.num_operations)).astype(np.float32)

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:  # noqa: ARG002
        """See `Kind`; images are NumPy's."""
        changed = to_unit(images, self.low, self.high)
        choices = operations(images.shape[-1], colours=True)
        strength = np.full(len(images), self.strength, np.float32)
        for place in range(self.num_operations):
            chosen = (draws[:, 2 * place] * len(choices)).astype(np.int32)
            signs = np.where(draws[:, 2 * place + 1] < 0.5, -1.0, 1.0)
            changed = each_its_own(changed, choices, chosen, strength, signs)
        return from_unit(images, changed, self.low, self.high)


@dataclass(frozen=True)
class AugMix:
    """Averages each image with mixtures of itself that went through chains of operations.

    x' = (1 - m) * x + m * sum_k w_k * chain_k(x), m from Beta(1, 1), w from Dirichlet(1, ..., 1)

    Args:
        num_chains: How many chains; each has 1 to 3 operations.
        strength: The largest strength of an operation; each draws its own, from a tenth of it on.
        low, high: The range of the images' values.

    Source: Hendrycks et al., 2020, "AugMix" (arXiv:1912.02781), its augmentation; its loss of
    consistency between three views of an image is not part of this.
    """

    num_chains: int
    strength: float
    low: float
    high: float

    def draw(self, random: np.random.Generator, num: int) -> Draws:
        """Return rows of (m, w of each chain, then depth and 3 operations of each chain)."""
        shares = random.dirichlet(np.ones(self.num_chains), num)
        chains = random.random((num, 10 * self.num_chains))
        return np.column_stack([random.beta(1, 1, num), shares, chains]).astype(np.float32)

    def apply(self, images: Tensor, draws: Tensor, xp: Any = np) -> Tensor:  # noqa: ARG002
        """See `Kind`; images are NumPy's."""
        plain = to_unit(images, self.low, self.high)
        choices = operations(images.shape[-1], colours=False)
        mixture = np.zeros_like(plain)
        for chain in range(self.num_chains):
            first = 1 + self.num_chains + 10 * chain
            changed = self._chain(plain, draws[:, first : first + 10], choices)
            mixture += draws[:, 1 + chain, None, None, None] * changed
        share = draws[:, 0, None, None, None]
        return from_unit(images, (1.0 - share) * plain + share * mixture, self.low, self.high)

    def _chain(self, images: Images, draws: Draws, choices: tuple[Operation, ...]) -> Images:
        depths = 1 + (draws[:, 0] * 3).astype(np.int32)
        for place in range(3):
            which, strong, sign = (draws[:, 1 + 3 * place + i] for i in range(3))
            chosen = np.where(place < depths, (which * len(choices)).astype(np.int32), -1)
            strength = self.strength * (0.1 + 0.9 * strong)
            signs = np.where(sign < 0.5, -1.0, 1.0)
            images = each_its_own(images, choices, chosen, strength, signs)
        return images


def operations(channels: int, colours: bool) -> tuple[Operation, ...]:
    """Return the operations for images with so many channels.

    Without `colours`, those that change brightness, contrast, colour or sharpness are left out, as
    in AugMix. What balances colours needs three channels.
    """
    shapes = (rotate, shear_rows, shear_columns, move_rows, move_columns)
    values = (stretch, equalize, solarize, posterize)
    if not colours:
        return (*shapes, *values)
    balance = (colour,) if channels == 3 else ()
    return (same, *shapes, *values, contrast, brightness, sharpness, *balance)


def each_its_own(
    images: Images,
    choices: tuple[Operation, ...],
    chosen: NDArray[Any],
    strength: NDArray[Any],
    signs: NDArray[Any],
) -> Images:
    """Return the images, each put through the operation chosen for it; -1 is none."""
    changed = images.copy()
    for index, operation in enumerate(choices):
        those = np.flatnonzero(chosen == index)
        if len(those):
            changed[those] = operation(images[those], strength[those], signs[those])
    return changed


def to_unit(images: Tensor, low: float, high: float) -> Images:
    """Return values as shares of their range, float32."""
    shares = (images.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    clipped: Images = np.clip(shares, 0.0, 1.0)
    return clipped


def from_unit(images: Tensor, shares: Images, low: float, high: float) -> Tensor:
    """Return shares of the range as values of the images' dtype."""
    return like(images, shares * np.float32(high - low) + np.float32(low))


def same(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:  # noqa: ARG001
    """Leave images as they are."""
    return images


def rotate(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Turn by up to 30 degrees about the centre."""
    angles = signs * strength * np.pi / 6
    cos, sin = np.cos(angles), np.sin(angles)
    return warp(images, cos, -sin, sin, cos)


def shear_rows(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Shear columns up and down, by up to 0.3 pixels a pixel."""
    one, none = np.ones_like(strength), np.zeros_like(strength)
    return warp(images, one, signs * strength * 0.3, none, one)


def shear_columns(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Shear rows left and right, by up to 0.3 pixels a pixel."""
    one, none = np.ones_like(strength), np.zeros_like(strength)
    return warp(images, one, none, signs * strength * 0.3, one)


def move_rows(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Move up or down by up to 0.3 of the height."""
    one, none = np.ones_like(strength), np.zeros_like(strength)
    down = signs * strength * 0.3 * images.shape[1]
    return warp(images, one, none, none, one, down=down)


def move_columns(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Move left or right by up to 0.3 of the width."""
    one, none = np.ones_like(strength), np.zeros_like(strength)
    right = signs * strength * 0.3 * images.shape[2]
    return warp(images, one, none, none, one, right=right)


def warp(
    images: Images,
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    d: NDArray[Any],
    down: NDArray[Any] | float = 0.0,
    right: NDArray[Any] | float = 0.0,
) -> Images:
    """Return x'[i, j] = x[a * i + b * j + down, c * i + d * j + right], from the centre; else 0."""
    _, height, width, _ = images.shape
    i = np.arange(height)[None, :, None] - (height - 1) / 2
    j = np.arange(width)[None, None, :] - (width - 1) / 2
    a, b, c, d, down, right = (
        np.broadcast_to(part, len(images))[:, None, None] for part in (a, b, c, d, down, right)
    )
    rows = a * i + b * j + down + (height - 1) / 2
    columns = c * i + d * j + right + (width - 1) / 2
    seen = (rows > -0.5) & (rows < height - 0.5) & (columns > -0.5) & (columns < width - 0.5)
    values = bilinear(images, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))
    warped: Images = (values * seen[..., None]).astype(np.float32)
    return warped


def stretch(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:  # noqa: ARG001
    """Spread each channel over the whole range."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    spread: Images = np.where(high > low, (images - low) / np.where(high > low, high - low, 1), low)
    return spread.astype(np.float32)


def equalize(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:  # noqa: ARG001
    """Let each channel's values, of 256, be about equally frequent."""
    num, height, width, channels = images.shape
    values = np.round(images * 255).astype(np.int32)
    values = np.moveaxis(values, 3, 1).reshape(num * channels, height * width)
    places = np.arange(num * channels)[:, None]
    counts = np.bincount((values + 256 * places).ravel(), minlength=256 * num * channels)
    counts = counts.reshape(num * channels, 256)
    # The last value there is does not count: it becomes 255.
    last = 255 - np.argmax(counts[:, ::-1] > 0, axis=1)[:, None]
    step = (height * width - np.take_along_axis(counts, last, 1)) // 255
    before = np.cumsum(counts, 1) - counts
    table = np.clip((before + step // 2) // np.maximum(step, 1), 0, 255)
    table = np.where(step > 0, table, np.arange(256))
    even = np.take_along_axis(table, values, 1).reshape(num, channels, height, width)
    return np.moveaxis(even, 1, 3).astype(np.float32) / np.float32(255)


def solarize(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:  # noqa: ARG001
    """Turn values above 1 - strength into their opposite."""
    return np.where(images >= 1 - _wide(strength), 1 - images, images).astype(np.float32)


def posterize(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:  # noqa: ARG001
    """Keep 8 to 4 bits of each value."""
    step = 2.0 ** np.round(4 * _wide(strength))
    kept: NDArray[Any] = np.floor(np.round(images * 255) / step) * step / 255
    return kept.astype(np.float32)


def brightness(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Go towards black, or away from it."""
    return away_from(np.zeros_like(images), images, strength, signs)


def contrast(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Go towards the mean grey, or away from it."""
    mean = grey(images).mean((1, 2), keepdims=True)
    return away_from(np.broadcast_to(mean, images.shape), images, strength, signs)


def colour(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Go towards grey, or away from it."""
    return away_from(np.broadcast_to(grey(images), images.shape), images, strength, signs)


def sharpness(images: Images, strength: NDArray[Any], signs: NDArray[Any]) -> Images:
    """Go towards a smoothed image, or away from it; the outermost pixels stay."""
    smooth = images.copy()
    _, height, width, _ = images.shape
    if height > 2 and width > 2:
        around = sum(
            images[:, 1 + i : height - 1 + i, 1 + j : width - 1 + j]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        )
        smooth[:, 1:-1, 1:-1] = (around + 4 * images[:, 1:-1, 1:-1]) / 13
    return away_from(smooth, images, strength, signs)


def away_from(
    other: NDArray[Any], images: Images, strength: NDArray[Any], signs: NDArray[Any]
) -> Images:
    """Return other + factor * (images - other), within 0..1; the factor is 1 + sign * 0.9 * s."""
    factor = 1 + _wide(signs * strength * 0.9)
    changed: Images = np.clip(other + factor * (images - other), 0.0, 1.0)
    return changed.astype(np.float32)


def grey(images: Images) -> NDArray[Any]:
    """Return the luma of images with three channels, the mean of all channels of others."""
    if images.shape[-1] == 3:
        luma: NDArray[Any] = (images @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
        return luma
    mean: NDArray[Any] = images.mean(-1, keepdims=True)
    return mean


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    return values[:, None, None, None]
