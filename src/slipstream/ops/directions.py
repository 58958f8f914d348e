"""Random directions in the space of weights, as long, filter by filter, as the weights. NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def filter_normalized(
    weights: Sequence[Array], filter_axes: Sequence[tuple[int, ...]], seed: int
) -> list[Array]:
    """Return a random direction each of whose filters is as long as the weights' own.

    d_ij <- d_ij / ||d_ij|| * ||w_ij|| for the j-th filter of the i-th variable, so that directions
    of nets whose weights have other scales can be compared. Variables without filters, which are
    biases and scales of normalization, stay where they are.

    Args:
        weights: The variables' values.
        filter_axes: For each the axes along which its filters are counted; () where it has none.
        seed: What the direction follows from.

    Returns:
        One array for each variable, float32.

    Example:
        >>> kernel = np.array([[3.0, 0.0], [4.0, 0.5]], np.float32)
        >>> (direction,) = filter_normalized([kernel], [(1,)], seed=0)
        >>> np.linalg.norm(direction, axis=0).round(3).tolist()
        [5.0, 0.5]

    Source: Li et al., 2018, "Visualizing the Loss Landscape of Neural Nets" (arXiv:1712.09913).
    """
    generator = np.random.default_rng(seed)
    return [
        _of_one(np.asarray(weight, np.float32), axes, generator)
        for weight, axes in zip(weights, filter_axes, strict=True)
    ]


def _of_one(weight: Array, filter_axes: tuple[int, ...], generator: np.random.Generator) -> Array:
    drawn = generator.standard_normal(weight.shape, np.float32)
    if not filter_axes:
        return np.zeros_like(weight)
    within = tuple(axis for axis in range(weight.ndim) if axis not in filter_axes)
    sizes = np.sqrt(np.sum(np.square(weight), axis=within, keepdims=True))
    lengths = np.sqrt(np.sum(np.square(drawn), axis=within, keepdims=True))
    return np.asarray(drawn * (sizes / np.maximum(lengths, 1e-12)), np.float32)
