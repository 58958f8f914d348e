"""1,797 handwritten digits of 8 x 8 pixels, as scikit-learn ships them; a small convolutional net.

Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.data import Data
from slipstream.task import Task
from slipstream.tasks._splits import fixed_splits

BRIGHTEST = 16.0


def build_model() -> Any:
    """Return the net that a person would write first: two convolutions and a hidden layer."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, dtype="float32"),
        ],
        name="digits",
    )


def load_data() -> Data:
    """Return images in [0, 1] of shape (N, 8, 8, 1), float32, and labels 0 to 9, int64."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., None] / BRIGHTEST).astype(np.float32)
    y = bunch.target.astype(np.int64)
    return fixed_splits(x, y, stratify=y)


TASK = Task(
    name="digits",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
    target=0.97,
)
