"""A focal loss where one class is rare: 20 eights among 1,000 digits.

    python examples/focal_loss.py

The plan trains with another loss than the one that judges: validation is the task's own cross-
entropy and recall, whatever the plan minimises.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
PLAIN = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "duration.epochs": 8,
    "schedule.peak": 2e-3,
}
FOCAL = {**PLAIN, "loss.name": "focal", "loss.focus": 2.0, "loss.balance": 0.95}


def build_model() -> Any:
    """Return a dense net with one probability."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def load_data() -> slipstream.Data:
    """Return digits and whether each is an eight; most eights are left out of the training."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = (bunch.data / 16).astype("float32"), bunch.target == 8
    train = np.arange(1000)
    keep = np.concatenate([train[~y[:1000]], train[y[:1000]][:20]])
    target = y.astype("float32")[:, None]
    return slipstream.Data(
        slipstream.Split(x[keep], target[keep]), slipstream.Split(x[1000:], target[1000:])
    )


task = slipstream.Task(
    name="rare_eights",
    model=build_model,
    data=load_data,
    loss="binary_crossentropy",
    metrics=["f1", "recall"],
    monitor="val_f1",
)


def main() -> None:
    """Train with both losses from the same weights, on the same batches."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in (("cross-entropy", PLAIN), ("focal", FOCAL)):
            record = slipstream.fit(
                task, changes=changes, folder=Path(folder) / name, progress=False, own_process=False
            )
            found[name] = record.points[-1].values
            recall, f1 = found[name]["val_recall"], found[name]["val_f1"]
            print(f"{name}: of the eights it finds {recall:.1%}, F1 {f1:.3f}")
    said = [f"{key}: {value}" for key, value in record.applied.items() if key.startswith("loss")]
    print(f"applied: {'; '.join(said)}")
    plain, focal = found["cross-entropy"], found["focal"]
    assert focal["val_recall"] > plain["val_recall"] + 0.1, "the focal loss finds no more of them"
    assert focal["val_f1"] > plain["val_f1"], "what it finds are not the eights"


if __name__ == "__main__":
    main()
