"""442 patients, ten measurements each: how far diabetes advances in a year; a small dense net.

Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression", 2004; as
scikit-learn ships it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.task import AS_GIVEN, Task
from slipstream.tasks._splits import fixed_splits, standardised


def build_model() -> Any:
    """Return a dense net with two hidden layers; its output is in standard deviations."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, dtype="float32"),
        ],
        name="diabetes",
    )


def load_data() -> Data:
    """Return standardised measurements (N, 10) and standardised targets (N, 1), float32."""
    from sklearn.datasets import load_diabetes

    # scikit-learn's scaled version has used the statistics of all examples, held-out ones too.
    bunch = load_diabetes(scaled=False)
    data = standardised(fixed_splits(bunch.data, bunch.target[:, None], stratify=None))
    mean, deviation = data.train.y.mean(), data.train.y.std()

    def scale(split: Split) -> Split:
        return replace(split, y=((split.y - mean) / deviation).astype(np.float32))

    assert data.test is not None
    return Data(scale(data.train), scale(data.validation), scale(data.test))


TASK = Task(
    name="diabetes",
    model=build_model,
    data=load_data,
    loss={"class_name": "MeanSquaredError", "config": {}},
    metrics=["mae"],
    monitor="val_loss",
    target=0.55,
    plan=AS_GIVEN.edit({"duration.epochs": 40}),
)
