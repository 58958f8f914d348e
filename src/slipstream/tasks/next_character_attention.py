"""The text of next_character, read by attention: a Transformer of two blocks.

Source: the language reference as `pydoc_data.topics` of the running Python holds it. The text,
and with it the data's hash, differs between versions of Python.
"""

from __future__ import annotations

from typing import Any

from slipstream.task import AS_GIVEN, Task
from slipstream.tasks.next_character import CONTEXT, NUM_SYMBOLS, load_data

WIDTH = 48
HEADS = 4
BLOCKS = 2


def build_model() -> Any:
    """Return a pre-norm Transformer that predicts from its last position."""
    import keras
    from keras import layers

    characters = keras.Input((CONTEXT,), dtype="int32")
    x = layers.Embedding(NUM_SYMBOLS, WIDTH)(characters)
    # A bias for each place in the context: what a position embedding adds.
    x = layers.EinsumDense(
        "btd,de->bte",
        (CONTEXT, WIDTH),
        bias_axes="te",
        bias_initializer=keras.initializers.RandomNormal(stddev=0.02),
        name="positions",
    )(x)
    for _ in range(BLOCKS):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(4 * WIDTH, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(WIDTH)(y)])
    x = layers.LayerNormalization()(x[:, -1])
    logits = layers.Dense(NUM_SYMBOLS, dtype="float32")(x)
    return keras.Model(characters, logits, name="next_character_attention")


TASK = Task(
    name="next_character_attention",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
    # No one has said what is enough: the tuned baseline sets the mark.
    target=None,
    plan=AS_GIVEN.edit({"duration.epochs": 10}),
)
