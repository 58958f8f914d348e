"""The nets whose throughput is measured, in plain Keras, and the numbers they are trained on.

All are trained with AdamW, a global norm clipped at 1 and batches of 64. How many examples there
are divides into whole batches, so that every loop sees the same work. Keras is imported when a net
is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 64
NUM_CLASSES = 10
NUM_WORDS = 1000
RATE, CLIPPING, WEIGHT_DECAY = 1e-3, 1.0, 0.004

# Shape of one example, and how many there are.
SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "mlp": ((50,), 5120),
    "cnn": ((28, 28, 1), 1024),
    "lstm": ((50, 10), 2048),
    "transformer": ((64, 16), 512),
    "resnet18": ((32, 32, 3), 192),
    "gru_tagger": ((40,), 1024),
}


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of a net: numbers, or words with a label each."""
    generator = np.random.default_rng(0)
    shape, num = SHAPES[name]
    if name == "gru_tagger":
        x = generator.integers(1, NUM_WORDS, (num, *shape)).astype("int32")
        return x, generator.integers(0, NUM_CLASSES, (num, *shape)).astype("int32")
    x = generator.normal(size=(num, *shape)).astype("float32")
    return x, generator.integers(0, NUM_CLASSES, num).astype("int32")


def build_mlp() -> Any:
    """Return a dense net, 50-256-128-64-10, which is mostly dispatch."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((50,)),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dense(NUM_CLASSES, dtype="float32"),
        ]
    )


def build_cnn() -> Any:
    """Return a small residual net on 28x28x1, 37 million multiply-adds forward."""
    return _residual_net((28, 28, 1), 32, [(32, 1), (64, 2), (128, 2)])


def build_resnet18() -> Any:
    """Return ResNet-18 with the stem for small images: one 3x3 convolution, no pooling."""
    widths = [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    return _residual_net((32, 32, 3), 64, widths)


def build_lstm() -> Any:
    """Return two LSTMs, 64 and 32 units, over 50 steps of 10 numbers."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((50, 10)),
            layers.LSTM(64, return_sequences=True),
            layers.LSTM(32),
            layers.Dense(NUM_CLASSES, dtype="float32"),
        ]
    )


def build_transformer() -> Any:
    """Return an encoder of 4 layers of width 128 with 4 heads, over 64 steps of 16 numbers."""
    import keras
    from keras import layers

    inputs = keras.Input((64, 16))
    x = layers.Dense(128)(inputs)
    for _ in range(4):
        attended = layers.MultiHeadAttention(4, 32)(x, x)
        attended = layers.Dropout(0.1)(attended)
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, attended]))
        hidden = layers.Dense(512, activation="gelu")(x)
        hidden = layers.Dropout(0.1)(layers.Dense(128)(hidden))
        x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, hidden]))
    pooled = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(NUM_CLASSES, dtype="float32")(pooled))


def build_gru_tagger() -> Any:
    """Return a tagger: a label for each of 40 words, from a bidirectional GRU of 64 units."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((40,), dtype="int32"),
            layers.Embedding(NUM_WORDS, 64),
            layers.Bidirectional(layers.GRU(64, return_sequences=True)),
            layers.Dense(NUM_CLASSES, dtype="float32"),
        ]
    )


def _residual_net(shape: tuple[int, ...], stem: int, widths: list[tuple[int, int]]) -> Any:
    import keras
    from keras import layers

    def convolved(x: Any, width: int, stride: int = 1) -> Any:
        x = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input(shape)
    x = layers.ReLU()(convolved(inputs, stem))
    for width, stride in widths:
        y = convolved(layers.ReLU()(convolved(x, width, stride)), width)
        if stride > 1 or x.shape[-1] != width:
            x = layers.Conv2D(width, 1, strides=stride, use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(NUM_CLASSES, dtype="float32")(pooled))


BUILDERS: dict[str, Callable[[], Any]] = {
    "mlp": build_mlp,
    "cnn": build_cnn,
    "lstm": build_lstm,
    "transformer": build_transformer,
    "resnet18": build_resnet18,
    "gru_tagger": build_gru_tagger,
}


def compiled(name: str) -> Any:
    """Return a net compiled as a person would who uses Keras alone."""
    import keras

    model = BUILDERS[name]()
    model.compile(
        optimizer=keras.optimizers.AdamW(RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIPPING),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model
