"""A loss and a metric of one's own: how far diabetes will advance in four of five patients at most.

    python examples/custom_loss_and_metric.py

The pinball loss learns a quantile in the place of the mean; the metric counts how many patients lie
below it, over all batches. Both are plain Keras, and train through `slipstream.fit`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_diabetes

import slipstream

QUANTILE = 0.8


@keras.saving.register_keras_serializable("examples")
def pinball(y_true: Any, y_pred: Any) -> Any:
    """Return the loss whose minimum is the quantile: max(q * e, (q - 1) * e), e = y - p."""
    error = y_true - y_pred
    return ops.mean(ops.maximum(QUANTILE * error, (QUANTILE - 1.0) * error), axis=-1)


@keras.saving.register_keras_serializable("examples")
class Coverage(keras.metrics.Metric):
    """The share of the targets that are at most the prediction."""

    def __init__(self, name: str = "coverage", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.below = self.add_weight(name="below", initializer="zeros")
        self.all = self.add_weight(name="all", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        below = ops.cast(y_true <= y_pred, self.dtype)
        weights = ops.ones_like(below) if sample_weight is None else sample_weight
        self.below.assign_add(ops.sum(below * weights))
        self.all.assign_add(ops.sum(weights))

    def result(self) -> Any:
        """Return the share so far."""
        return self.below / ops.maximum(self.all, 1e-9)


def main() -> None:
    """Train on 300 patients and judge on the other 142."""
    keras.utils.set_random_seed(0)
    bunch = load_diabetes()
    x = (bunch.data / bunch.data.std(axis=0)).astype("float32")
    y = ((bunch.target - 150) / 75).astype("float32")[:, None]
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:300], order[300:]
    model = keras.Sequential(
        [keras.Input((10,)), layers.Dense(16, activation="relu"), layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(3e-3), loss=pinball, metrics=[Coverage()])
    history = slipstream.fit(model, x[train], y[train], batch_size=32, epochs=60, verbose=0)
    values = model.evaluate(x[test], y[test], verbose=0, return_dict=True)
    by_hand = float(np.mean(y[test] <= model.predict(x[test], verbose=0)))
    print(f"loop: {history.slipstream.loop}, {history.slipstream.updates} updates")
    print(f"pinball loss on held-out patients: {values['loss']:.3f}")
    print(f"patients below the prediction: {values['coverage']:.3f}, by hand {by_hand:.3f}")
    assert abs(values["coverage"] - by_hand) < 1e-6, "the metric does not count what it should"
    assert abs(by_hand - QUANTILE) < 0.12, "the loss has not found the quantile"


if __name__ == "__main__":
    main()
