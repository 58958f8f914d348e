"""Fixed splits of data that come in one piece: about 60 % train, 20 % validation, 20 % test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from slipstream.data import Data, Split

SEED = 20_240_101
VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2

Array = np.ndarray[Any, np.dtype[Any]]


def fixed_splits(x: Array, y: Array, *, stratify: Array | None) -> Data:
    """Split examples into train, validation and test, the same in every process.

    Args:
        x: Inputs of shape (N, ...).
        y: Targets of shape (N, ...).
        stratify: Classes of shape (N,) whose shares all splits keep, or None.

    Returns:
        The three splits.

    Example:
        >>> data = fixed_splits(np.arange(10), np.arange(10), stratify=None)
        >>> data.train.num_examples, data.validation.num_examples, data.test.num_examples
        (6, 2, 2)
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(x))
    rest, test = train_test_split(
        everything, test_size=TEST_SHARE, random_state=SEED, stratify=stratify
    )
    train, validation = train_test_split(
        rest,
        test_size=VALIDATION_SHARE / (1.0 - TEST_SHARE),
        random_state=SEED,
        stratify=None if stratify is None else stratify[rest],
    )
    return Data(*(Split(x[i], y[i], rows=i) for i in (train, validation, test)))


def standardised(data: Data) -> Data:
    """Return the data with every feature at mean 0 and variance 1 on the training split.

    Each feature becomes (x - mean) / deviation, with the training split's mean and deviation in
    all three splits: nothing is learnt from held-out examples.

    Example:
        >>> x = np.arange(20, dtype=np.float64).reshape(10, 2)
        >>> train = standardised(fixed_splits(x, x, stratify=None)).train.x
        >>> bool(abs(train.mean(axis=0)).max() < 1e-6), train.std(axis=0).round(3).tolist()
        (True, [1.0, 1.0])
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(data.train.x)

    def scale(split: Split) -> Split:
        return replace(split, x=scaler.transform(split.x).astype(np.float32))

    assert data.test is not None
    return Data(scale(data.train), scale(data.validation), scale(data.test))
