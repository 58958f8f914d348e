"""A recurrent net at a rate that throws it off, and with bounded gradients at the same rate.

    python examples/rnn_with_clipping.py

An image is read row by row. The record tells the norm of the gradient before it was bounded and
the share of the updates that were.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
FAST = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "schedule.peak": 0.1,
    "duration.epochs": 6,
}
CLIPPED = {**FAST, "clipping.global_norm": 0.3}


def build_model() -> Any:
    """Return a net of one recurrent layer."""
    import keras
    from keras import layers

    return keras.Sequential([keras.Input((8, 8)), layers.SimpleRNN(48), layers.Dense(10)])


def load_data() -> slipstream.Data:
    """Return digits as sequences of eight rows."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = (bunch.images / 16).astype("float32"), bunch.target.astype("int64")
    return slipstream.Data(
        slipstream.Split(x[:1400], y[:1400]), slipstream.Split(x[1400:], y[1400:])
    )


task = slipstream.Task(
    name="digits_by_row",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
)


def main() -> None:
    """Train without and with the bound."""
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in (("free", FAST), ("clipped", CLIPPED)):
            record = slipstream.fit(
                task, changes=changes, folder=Path(folder) / name, progress=False, own_process=False
            )
            best[name] = record.best_value or 0.0
            how = record.failure.message if record.failure else record.outcome
            print(f"{name}: best validation accuracy {best[name]:.3f} ({how})")
    last = record.points[-1].values
    print(f"mean norm before clipping {last['gradient_norm']:.3f}")
    print(f"updates that were clipped {last['clipped_share']:.0%}")
    assert last["clipped_share"] > 0, "nothing was clipped"
    assert best["clipped"] > 0.85, "the net was not learnt with bounded gradients"
    assert best["clipped"] > best["free"] + 0.05, "the bound made no difference"


if __name__ == "__main__":
    main()
