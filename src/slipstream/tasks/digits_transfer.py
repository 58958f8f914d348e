"""Digits 5 to 9 from a hundred examples, by a net that has learnt the digits 0 to 4 before.

Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.task import AS_GIVEN, Task

BRIGHTEST = 16.0
FIRST_NEW = 5
WIDTHS = (64, 32)
NUM_TRAIN = 100
NUM_VALIDATION = 300
SEED = 20_240_101

Array = np.ndarray[Any, np.dtype[Any]]


def build_model() -> Any:
    """Return two layers that know the old digits, and a new one for the five new digits."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((64,)),
            *(layers.Dense(n, activation="relu", name=f"base_{n}") for n in WIDTHS),
            layers.Dense(5, dtype="float32", name="head"),
        ],
        name="digits_transfer",
    )
    for layer, weights in zip(model.layers, pretrained(), strict=False):
        layer.set_weights(weights)
    return model


@cache
def pretrained() -> list[list[Array]]:
    """Return kernel and bias of the layers of a net that scikit-learn trained on the old digits."""
    from sklearn.neural_network import MLPClassifier

    x, y = _digits()
    old = y < FIRST_NEW
    net = MLPClassifier(WIDTHS, max_iter=500, random_state=SEED % 1000).fit(x[old], y[old])
    pairs = zip(net.coefs_, net.intercepts_, strict=True)
    layers = [[np.asarray(array, np.float32) for array in pair] for pair in pairs]
    return layers[: len(WIDTHS)]


def load_data() -> Data:
    """Return float32 pixels in [0, 1], shape (N, 64), and labels 0 to 4 for the digits 5 to 9."""
    from sklearn.model_selection import train_test_split

    x, y = _digits()
    new = np.flatnonzero(y >= FIRST_NEW)
    train, rest = train_test_split(new, train_size=NUM_TRAIN, random_state=SEED, stratify=y[new])
    validation, test = train_test_split(
        rest, train_size=NUM_VALIDATION, random_state=SEED, stratify=y[rest]
    )
    return Data(*(Split(x[i], y[i] - FIRST_NEW, rows=i) for i in (train, validation, test)))


def _digits() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.data / BRIGHTEST).astype(np.float32), bunch.target.astype(np.int64)


TASK = Task(
    name="digits_transfer",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
    # No one has said what is enough: the tuned baseline sets the mark.
    target=None,
    plan=AS_GIVEN.edit({"duration.epochs": 60}),
)
