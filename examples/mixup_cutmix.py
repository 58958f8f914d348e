"""MixUp and CutMix from a plan, where examples are few: 120 digits to learn from.

    python examples/mixup_cutmix.py

Images are averaged or pasted into each other, and their labels with them; validation sees the
digits as they are. Both trainings have the same weights to begin with and the same number of
updates.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
PLAIN = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "schedule.name": "cosine",
    "schedule.peak": 3e-3,
    "schedule.warmup": 0.05,
    "duration.epochs": 50,
    "duration.evaluations_per_epoch": 1,
    "duration.restore_best": False,
}
MIXED = {**PLAIN, "augmentation.mixup": 0.4, "augmentation.cutmix": 1.0}


def build_model() -> Any:
    """Return a small convolutional net."""
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
            layers.Dense(10),
        ]
    )


def load_data() -> slipstream.Data:
    """Return 120 digits to learn from and 600 others to judge on."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., None] / 16).astype("float32")
    y = bunch.target.astype("int64")
    return slipstream.Data(
        slipstream.Split(x[:120], y[:120]), slipstream.Split(x[120:720], y[120:720])
    )


task = slipstream.Task(
    name="few_digits",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
)


def main() -> None:
    """Train without and with mixed images."""
    end = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in (("plain", PLAIN), ("mixed", MIXED)):
            record = slipstream.fit(
                task, changes=changes, folder=Path(folder) / name, progress=False, own_process=False
            )
            end[name] = record.points[-1].values
            values = end[name]
            print(f"{name}: training loss {values['loss']:.3f}, ", end="")
            print(f"validation loss {values['val_loss']:.3f}, ", end="")
            print(f"accuracy {values['val_accuracy']:.3f}")
    said = [f"{key}: {value}" for key, value in record.applied.items() if "augm" in key]
    print(f"applied: {'; '.join(said)}")
    assert end["plain"]["val_accuracy"] > 0.75, "the digits were not learnt"
    assert end["mixed"]["loss"] > 3 * end["plain"]["loss"], "what is trained on is not mixed"
    assert end["mixed"]["val_accuracy"] > end["plain"]["val_accuracy"] - 0.01, "quality suffered"


if __name__ == "__main__":
    main()
