"""Four batches of 16 make the update of one batch of 64, to the last digits of float32.

    python examples/accumulation.py

Where a batch of 64 does not fit into memory, the plan says 16 x 4: the same updates, the same
schedule, the same remainder at the end of each epoch.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
COMMON = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "schedule.name": "cosine",
    "schedule.peak": 0.02,
    "duration.epochs": 2,
    "duration.restore_best": False,
}
LARGE = {**COMMON, "batch.size": 64}
SMALL = {**COMMON, "batch.size": 16, "batch.accumulation": 4}


def build_model() -> Any:
    """Return a dense net: BatchNormalization would see the small batches."""
    import keras
    from keras import layers

    return keras.Sequential(
        [keras.Input((64,)), layers.Dense(32, activation="tanh"), layers.Dense(10)]
    )


def load_data() -> slipstream.Data:
    """Return digits; 1,001 training examples leave a remainder of 41 in each epoch."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = (bunch.data / 16).astype("float32"), bunch.target.astype("int64")
    return slipstream.Data(
        slipstream.Split(x[:1001], y[:1001]), slipstream.Split(x[1001:], y[1001:])
    )


task = slipstream.Task(
    name="digits_dense",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
)


def weights_in(file: Path) -> list[np.ndarray]:
    """Return the arrays of a weights file, in the order of their names."""
    found: list[np.ndarray] = []
    with h5py.File(file) as content:
        content["layers"].visititems(
            lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return found


def main() -> None:
    """Train both ways and compare every weight."""
    weights, updates = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in (("64", LARGE), ("16 x 4", SMALL)):
            where = Path(folder) / name.replace(" ", "")
            record = slipstream.fit(
                task, changes=changes, folder=where, progress=False, own_process=False
            )
            weights[name] = weights_in(where / "best.weights.h5")
            updates[name] = record.updates
            print(f"{name}: {record.updates} updates, accuracy {record.best_value:.4f}")
    pairs = list(zip(weights["64"], weights["16 x 4"], strict=True))
    largest = max(float(np.abs(a).max()) for a, _ in pairs)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(f"largest weight {largest:.3f}, largest difference {difference:.1e}")
    assert len(pairs) == 4
    assert updates["64"] == updates["16 x 4"] == 32
    assert difference < 1e-6 * max(1.0, largest), "accumulation is not the large batch"


if __name__ == "__main__":
    main()
