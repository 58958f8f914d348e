"""F1 as the metric to watch: is it an eight? One image in ten is.

    python examples/f1.py

"f1" is Slipstream's own metric: computed over the whole validation split, not averaged over
batches. scikit-learn computes it again from the weights that were kept.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")


def build_model() -> Any:
    """Return a small convolutional net with one probability."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def load_data() -> slipstream.Data:
    """Return digits and whether each is an eight, in three splits."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[..., None] / 16).astype("float32")
    y = (bunch.target == 8).astype("float32")[:, None]
    ends = ((0, 1000), (1000, 1400), (1400, 1797))
    return slipstream.Data(*(slipstream.Split(x[a:b], y[a:b]) for a, b in ends))


task = slipstream.Task(
    name="eights",
    model=build_model,
    data=load_data,
    loss="binary_crossentropy",
    metrics=["f1"],
    monitor="val_f1",
)


def main() -> None:
    """Train, then compute F1 a second time."""
    changes = {
        "runtime.backend": BACKEND,
        "runtime.loop": "slipstream",
        "duration.epochs": 10,
        "schedule.peak": 3e-3,
    }
    with tempfile.TemporaryDirectory() as folder:
        record = slipstream.fit(
            task,
            changes=changes,
            test=True,
            folder=Path(folder) / "run",
            progress=False,
            own_process=False,
        )
        model = build_model()
        model.load_weights(Path(folder) / "run" / "best.weights.h5")
    test = load_data().test
    assert test is not None
    found = model.predict(test.x, verbose=0) > 0.5
    from sklearn.metrics import f1_score

    theirs = f1_score(test.y[:, 0], found[:, 0])
    ours = (record.test_values or {})["f1"]
    always_no = np.mean(test.y == 0)
    print(f"best val_f1 {record.best_value:.4f} in epoch {record.best_epoch:g}")
    print(f"test F1 {ours:.6f}; scikit-learn's, from the kept weights {theirs:.6f}")
    print(f"(always saying no is right in {always_no:.1%} and has an F1 of 0)")
    assert abs(ours - theirs) < 1e-6, "two ways to compute F1 differ"
    assert ours > 0.75, "the eights were not learnt"


if __name__ == "__main__":
    main()
