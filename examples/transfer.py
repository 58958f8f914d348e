"""Transfer in two phases: the head learns on a frozen base, then all of it at a lower rate.

    python examples/transfer.py

A net that can tell ten digits apart learns from sixty examples which of them are odd. The same
layers without what they had learnt are trained beside it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import slipstream

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
PLAIN = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "schedule.peak": 5e-3,
    "batch.size": 16,
    "duration.epochs": 30,
}
# A single layer bears a higher rate than all of them, which get a tenth of it.
TWO_PHASES = {
    **PLAIN,
    "schedule.peak": 5e-2,
    "transfer.frozen": 0.5,
    "transfer.base": "base",
    "transfer.rate": 0.1,
}


def build_model() -> Any:
    """Return two layers as scikit-learn trained them on ten digits, and a new head."""
    model = build_untrained()
    net = net_of_digits()
    for layer, kernel, bias in zip(model.layers, net.coefs_, net.intercepts_, strict=False):
        if layer.name.startswith("base"):
            layer.set_weights([kernel, bias])
    return model


@cache
def net_of_digits() -> Any:
    """Return scikit-learn's net of ten digits."""
    from sklearn.neural_network import MLPClassifier

    x, digit = load_digits()
    return MLPClassifier((64, 32), max_iter=400, random_state=0).fit(x[:1000], digit[:1000])


def build_untrained() -> Any:
    """Return the net as it is before it has learnt anything."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="base_1"),
            layers.Dense(32, activation="relu", name="base_2"),
            layers.Dense(1, activation="sigmoid", name="head"),
        ]
    )


def load_digits() -> tuple[Any, Any]:
    """Return pixels and digits."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    return (bunch.data / 16).astype("float32"), bunch.target


def load_data() -> slipstream.Data:
    """Return sixty digits that the base has not seen and whether each is odd, and 600 others."""
    x, digit = load_digits()
    odd = (digit % 2).astype("float32")[:, None]
    return slipstream.Data(
        slipstream.Split(x[1000:1060], odd[1000:1060]),
        slipstream.Split(x[1100:1700], odd[1100:1700]),
    )


task = slipstream.Task(
    name="odd_digits",
    model=build_model,
    data=load_data,
    loss="binary_crossentropy",
    metrics=["binary_accuracy"],
    monitor="val_binary_accuracy",
)
from_scratch = replace(task, name="from_scratch", model=build_untrained)


def main() -> None:
    """Train the head and then all of it; and all of it from scratch."""
    cases = (("from scratch", from_scratch, PLAIN), ("transfer", task, TWO_PHASES))
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, what, changes in cases:
            where = Path(folder) / name.replace(" ", "_")
            record = slipstream.fit(
                what, changes=changes, folder=where, progress=False, own_process=False
            )
            best[name] = record.best_value or 0.0
            print(f"{name}: best validation accuracy {best[name]:.3f}")
    said = [f"{key}: {value}" for key, value in record.applied.items() if "transfer" in key]
    print(f"applied: {'; '.join(said)}")
    assert said, "nothing was frozen"
    assert best["transfer"] > best["from scratch"], "what was learnt before did not help"


if __name__ == "__main__":
    main()
