"""A team's own training script: plain Keras, without a word of Slipstream.

slipstream run examples/team_script.py
"""

from __future__ import annotations

import keras
from keras import layers
from sklearn.datasets import load_digits

keras.utils.set_random_seed(1)
digits = load_digits()
x, y = (digits.data / 16).astype("float32"), digits.target
model = keras.Sequential(
    [keras.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(10)]
)
model.compile(
    optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    x[:1400], y[:1400], batch_size=32, epochs=8, validation_data=(x[1400:], y[1400:]), verbose=0
)
loss, accuracy = model.evaluate(x[1400:], y[1400:], verbose=0)
print(f"team_script: accuracy {accuracy:.4f}")
