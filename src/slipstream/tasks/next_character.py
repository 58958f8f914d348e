"""Python's own reference text: the next character after forty others; embedding, GRU, dense.

Source: the language reference as `pydoc_data.topics` of the running Python holds it. The text,
and with it the data's hash, differs between versions of Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.task import AS_GIVEN, Task

CONTEXT = 40
STRIDE = 12
NUM_TRAIN = 20_000
NUM_HELD_OUT = 4_000
# Index 0 is any other character.
ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
NUM_SYMBOLS = len(ALPHABET) + 1

Array = np.ndarray[Any, np.dtype[Any]]


def build_model() -> Any:
    """Return a character model with one recurrent layer."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((CONTEXT,), dtype="int32"),
            layers.Embedding(NUM_SYMBOLS, 32),
            layers.GRU(64),
            layers.Dense(NUM_SYMBOLS, dtype="float32"),
        ],
        name="next_character",
    )


def load_data() -> Data:
    """Return contexts of shape (N, 40), int32, and the characters that follow, (N,), int64.

    The splits are windows into stretches of text that lie one after the other, without overlap.
    """
    symbols = encode(_text())
    splits = []
    start = 0
    for num_examples in (NUM_TRAIN, NUM_HELD_OUT, NUM_HELD_OUT):
        end = start + (num_examples - 1) * STRIDE + CONTEXT + 1
        splits.append(_windows(symbols[start:end]))
        start = end
    return Data(*splits)


def encode(text: str) -> Array:
    """Return the index of every character, int32; 0 for those not in the alphabet.

    Example:
        >>> encode("\\n !é").tolist()
        [1, 2, 3, 0]
    """
    index = {character: number for number, character in enumerate(ALPHABET, start=1)}
    return np.array([index.get(character, 0) for character in text], dtype=np.int32)


def _text() -> str:
    from pydoc_data.topics import topics

    # Topics repeat one another's paragraphs: each stands once, so that no split holds another's.
    paragraphs = dict.fromkeys("\n\n".join(topics[name] for name in sorted(topics)).split("\n\n"))
    return "\n\n".join(paragraphs)


def _windows(symbols: Array) -> Split:
    windows = np.lib.stride_tricks.sliding_window_view(symbols, CONTEXT + 1)[::STRIDE]
    return Split(windows[:, :-1].copy(), windows[:, -1].astype(np.int64))


TASK = Task(
    name="next_character",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
    # No one has said what is enough: the tuned baseline sets the mark.
    target=None,
    plan=AS_GIVEN.edit({"duration.epochs": 15}),
)
