"""Weights of examples by their class, for classes of unequal size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def classes_of(labels: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return the class of each example; None where the labels are not one class for each.

    Args:
        labels: Whole numbers of shape (N,) or (N, 1), or rows with a single 1 of shape (N, C).

    Example:
        >>> classes_of(np.array([[0, 1], [1, 0]])).tolist(), classes_of(np.array([0.5]))
        ([1, 0], None)
    """
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "biuf":
        return None
    if labels.ndim == 2 and labels.shape[1] > 1:
        ones = labels == 1
        alone = bool(np.all(ones | (labels == 0))) and bool(np.all(ones.sum(axis=1) == 1))
        return ones.argmax(axis=1) if alone else None
    flat = labels.reshape(-1)
    # NaN is not its own floor.
    return flat.astype(np.int64) if np.array_equal(flat, np.floor(flat)) else None


def balanced_weights(classes: NDArray[np.int64]) -> dict[int, float]:
    """Return a weight for each class with which all classes count alike, and 1 on average.

    weight[c] = N / (K * N[c])

    Args:
        classes: The class of each example, shape (N,).

    Example:
        >>> balanced_weights(np.array([0, 0, 0, 1]))
        {0: 0.6666666666666666, 1: 2.0}

    Source: King and Zeng, 2001, "Logistic regression in rare events data".
    """
    present, counts = np.unique(classes, return_counts=True)
    weights = len(classes) / (len(present) * counts)
    return {int(one): float(weight) for one, weight in zip(present, weights, strict=True)}


def weighted_examples(
    classes: NDArray[np.int64], weights: Mapping[int, float], own: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Return the weight of each example: that of its class, times one of its own.

    Args:
        classes: The class of each example, shape (N,).
        weights: The weight of each class that occurs.
        own: Weights of shape (N,) or (N, 1), or None.

    Returns:
        Weights in the shape of its own ones, or (N,).

    Example:
        >>> weighted_examples(np.array([1, 0]), {0: 0.5, 1: 3.0}).tolist()
        [3.0, 0.5]
    """
    present, places = np.unique(classes, return_inverse=True)
    table = np.asarray([weights[int(one)] for one in present], np.float32)
    of_class = table[places]
    return of_class if own is None else (own * of_class.reshape(own.shape)).astype(np.float32)
