"""Inputs that random ones are not, through the lowered layers, against Keras' own call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from conformance import Case, batch_of, complaints, model_of, run_keras, run_lowered

from slipstream.lowering import Lowered

steps = np.arange(5)
MASKS = {
    "padded on the right": steps < np.array([[5], [2], [1], [4]]),
    "padded on the left": steps >= np.array([[0], [3], [4], [1]]),
    "nothing kept": steps < np.array([[0], [0], [3], [5]]),
    "with gaps": np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 1]]) > 0,
    "all kept": np.ones((4, 5), bool),
}
ALL = {"return_sequences": True, "return_state": True}
LAYERS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: keras.layers.LSTM(3, **ALL),
    "lstm backwards": lambda: keras.layers.LSTM(3, go_backwards=True, **ALL),
    "gru last": lambda: keras.layers.GRU(3),
    "bidirectional": lambda: keras.layers.Bidirectional(keras.layers.GRU(3, **ALL)),
    "attention": lambda: keras.layers.MultiHeadAttention(2, 3),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("layer", LAYERS)
def test_as_keras(layer: str, mask: str) -> None:
    call = (lambda layer, x: layer(x[0], x[0])) if layer == "attention" else None
    case = Case(layer, LAYERS[layer], ((4, 5, 2),), masked=(0,), call=call)
    model, _ = model_of(case)
    arrays = [*batch_of(case)[:1], MASKS[mask]]
    expected = run_keras(model, arrays, True)
    lowered = Lowered(model)
    assert [fallback.kind for fallback in lowered.fallbacks] == ["AttachMask"]
    found = run_lowered(lowered, model, arrays, True)
    zero = ("gradient of bias 3",) if layer == "attention" else ()
    assert complaints(found.arrays, expected.arrays, 5e-6, zero=zero) == []


def test_embedding_counts_negative_rows_from_the_end() -> None:
    case = Case("embedding", lambda: keras.layers.Embedding(6, 4), ((2, 3),), dtypes=("int32",))
    same_as_keras(case, [np.array([[-1, 5, 0], [-6, 2, -3]], "int32")])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_masking_compares_with_the_rounded_value(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    case = Case("masking", lambda: keras.layers.Masking(0.1), ((2, 2, 2),))
    same_as_keras(case, [np.array([[[0.1, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.1, 0.1]]], "float32")])


def same_as_keras(case: Case, arrays: list[Any]) -> None:
    model, _ = model_of(case)
    expected = run_keras(model, arrays, True)
    found = run_lowered(Lowered(model), model, arrays, True)
    assert complaints(found.arrays, expected.arrays, 0) == []
