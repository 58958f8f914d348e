"""569 biopsies, 30 measurements each: benign or malignant; a small dense net with one logit.

Source: W. Street, W. Wolberg, O. Mangasarian, "Nuclear feature extraction for breast tumor
diagnosis", 1993; as scikit-learn ships it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.data import Data
from slipstream.task import AS_GIVEN, Task
from slipstream.tasks._splits import fixed_splits, standardised


def build_model() -> Any:
    """Return a dense net with one hidden layer; a logit above 0 says benign."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, dtype="float32"),
        ],
        name="breast_cancer",
    )


def load_data() -> Data:
    """Return standardised measurements of shape (N, 30) and labels 0 or 1 of shape (N, 1)."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    # The targets have the shape of the model's output: losses would broadcast (N,) to (N, N).
    y = bunch.target.astype(np.float32)[:, None]
    return standardised(fixed_splits(bunch.data, y, stratify=bunch.target))


TASK = Task(
    name="breast_cancer",
    model=build_model,
    data=load_data,
    loss={"class_name": "BinaryCrossentropy", "config": {"from_logits": True}},
    # The threshold is that of logits; "accuracy" alone would compare them with 0.5.
    metrics=[{"class_name": "BinaryAccuracy", "config": {"name": "accuracy", "threshold": 0.0}}],
    monitor="val_accuracy",
    target=0.96,
    plan=AS_GIVEN.edit({"duration.epochs": 30}),
)
