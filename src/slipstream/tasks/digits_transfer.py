"""Odd or even, learnt from a hundred digits by a net that can tell ten digits apart.

Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.task import AS_GIVEN, Task

BRIGHTEST = 16.0
WIDTHS = (64, 32)
NUM_BEFORE = 1000
NUM_TRAIN = 100
NUM_VALIDATION = 300

Array = np.ndarray[Any, np.dtype[Any]]


def build_model() -> Any:
    """Return two layers that know the digits, and a new one with a logit: above 0 is odd."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((64,)),
            *(layers.Dense(n, activation="relu", name=f"base_{n}") for n in WIDTHS),
            layers.Dense(1, dtype="float32", name="head"),
        ],
        name="digits_transfer",
    )
    for layer, weights in zip(model.layers, pretrained(), strict=False):
        layer.set_weights(weights)
    return model


@cache
def pretrained() -> list[list[Array]]:
    """Return kernel and bias of the layers of a net that scikit-learn trained on ten digits."""
    from sklearn.neural_network import MLPClassifier

    x, y = _digits()
    net = MLPClassifier(WIDTHS, max_iter=500, random_state=0).fit(x[:NUM_BEFORE], y[:NUM_BEFORE])
    pairs = zip(net.coefs_, net.intercepts_, strict=True)
    layers = [[np.asarray(array, np.float32) for array in pair] for pair in pairs]
    return layers[: len(WIDTHS)]


def load_data() -> Data:
    """Return pixels in [0, 1] of shape (N, 64) and 1 for odd digits, (N, 1), both float32.

    None of them was among those that the net learnt from before.
    """
    x, y = _digits()
    odd = (y % 2).astype(np.float32)[:, None]
    ends = np.cumsum([NUM_BEFORE, NUM_TRAIN, NUM_VALIDATION])
    parts = np.split(np.arange(len(x)), ends)[1:]
    return Data(*(Split(x[rows], odd[rows], rows=rows) for rows in parts))


def _digits() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.data / BRIGHTEST).astype(np.float32), bunch.target.astype(np.int64)


TASK = Task(
    name="digits_transfer",
    model=build_model,
    data=load_data,
    loss={"class_name": "BinaryCrossentropy", "config": {"from_logits": True}},
    # The threshold is that of logits; "accuracy" alone would compare them with 0.5.
    metrics=[{"class_name": "BinaryAccuracy", "config": {"name": "accuracy", "threshold": 0.0}}],
    monitor="val_accuracy",
    # No one has said what is enough: the tuned baseline sets the mark.
    target=None,
    plan=AS_GIVEN.edit({"duration.epochs": 60}),
)
