"""Two outputs of one net: which digit an image shows, and how much ink it took.

    python examples/multi_output.py

A loss for each output by its name, with weights, as Keras has them; `slipstream.fit` stands in
the place of `model.fit`.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import slipstream


def build_model() -> keras.Model:
    """Return a convolutional net with a head for classes and one for a number."""
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    outputs = {"digit": layers.Dense(10, name="digit")(x), "ink": layers.Dense(1, name="ink")(x)}
    model = keras.Model(image, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss={
            "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "ink": "mean_squared_error",
        },
        loss_weights={"digit": 1.0, "ink": 0.5},
        metrics={"digit": ["accuracy"], "ink": ["mean_absolute_error"]},
    )
    return model


def main() -> None:
    """Train on 1,400 images and judge on the other 397."""
    keras.utils.set_random_seed(0)
    bunch = load_digits()
    images = (bunch.images[..., None] / 16).astype("float32")
    train, test = slice(0, 1400), slice(1400, None)
    ink = images.mean(axis=(1, 2))
    ink = ((ink - ink[train].mean()) / ink[train].std()).astype("float32")
    model = build_model()
    history = slipstream.fit(
        model,
        images[train],
        {"digit": bunch.target[train], "ink": ink[train]},
        batch_size=32,
        epochs=12,
        verbose=0,
    )
    targets = {"digit": bunch.target[test], "ink": ink[test]}
    values = model.evaluate(images[test], targets, verbose=0, return_dict=True)
    by_mean = float(np.abs(ink[test]).mean())
    accuracy, error = values["digit_accuracy"], values["ink_mean_absolute_error"]
    print(f"loop: {history.slipstream.loop}, {history.slipstream.updates} updates")
    print(f"digit: accuracy {accuracy:.3f}")
    print(f"ink: mean error {error:.3f} standard deviations; by the mean alone {by_mean:.3f}")
    assert accuracy > 0.88, "the digits were not learnt"
    assert error < by_mean / 2, "the ink is guessed no better than by the mean"


if __name__ == "__main__":
    main()
