"""A Transformer with warm-up, a cosine, Muon for its matrices and bounded gradients.

    python examples/transformer_muon.py
    slipstream optimize examples/transformer_muon.py --budget 5m

An image is cut into sixteen patches. All that the training needs stands in the plan, which is
compared with Keras' default Adam on the same batches.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
ADAM = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "batch.size": 64,
    "duration.epochs": 8,
}
MUON = {
    **ADAM,
    "optimizer.name": "muon",
    "optimizer.weight_decay": 0.01,
    "schedule.name": "cosine",
    "schedule.peak": 6e-3,
    "schedule.warmup": 0.1,
    "clipping.global_norm": 1.0,
}


def build_model() -> Any:
    """Return a pre-norm Transformer of two blocks."""
    import keras
    from keras import layers

    patches = keras.Input((16, 4))
    # A bias for each patch: what a position embedding adds.
    x = layers.EinsumDense("bti,io->bto", (16, 32), bias_axes="to")(patches)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 8)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(32)(layers.Dense(128, activation="gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(patches, layers.Dense(10)(x))


def load_data() -> slipstream.Data:
    """Return digits as sixteen patches of 2 x 2 pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images / 16).astype("float32").reshape(-1, 4, 2, 4, 2)
    x = x.transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
    y = bunch.target.astype("int64")
    return slipstream.Data(
        slipstream.Split(x[:1300], y[:1300]), slipstream.Split(x[1300:], y[1300:])
    )


task = slipstream.Task(
    name="digits_in_patches",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
)


def main() -> None:
    """Train with both plans."""
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in (("adam", ADAM), ("muon", MUON)):
            record = slipstream.fit(
                task, changes=changes, folder=Path(folder) / name, progress=False, own_process=False
            )
            best[name] = record.best_value or 0.0
            seconds = record.timings.clock_seconds
            print(f"{name}: best validation accuracy {best[name]:.3f} in {seconds:.1f} s")
    said = [f"{key}: {value}" for key, value in record.applied.items() if "optimizer" in key]
    print(f"applied: {'; '.join(said)}")
    assert best["muon"] > 0.85, "the plan did not train the net"
    assert best["muon"] > best["adam"] + 0.01, "the plan is no better than Adam at 0.001"


if __name__ == "__main__":
    main()
