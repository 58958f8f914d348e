"""Cases of the attention layers; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from conformance import Case

L = keras.layers
SELF = ((3, 5, 8),)
CROSS = ((3, 5, 8), (3, 7, 6))


def attend(**settings: Any) -> Callable[[Any, Sequence[Any]], Any]:
    """Return a call of the layer with its inputs as query, value and, where given, key."""

    def call(layer: Any, x: Sequence[Any]) -> Any:
        inputs = (x[0], x[0]) if len(x) == 1 else x[:3]
        return layer(*inputs, **settings)

    return call


def with_mask(layer: Any, x: Sequence[Any]) -> Any:
    return layer(x[0], x[0], attention_mask=x[1])


def then_add(layer: Any, x: Sequence[Any]) -> Any:
    """Attend and add the input, which has lost its mask by then."""
    return L.Add()([x[0], layer(x[0], x[0])])


def family(name: str, make: Callable[..., Any]) -> list[Case]:
    """Return what both attention layers must do."""
    return [
        Case(name, make, SELF, call=attend()),
        Case(f"{name}_causal", make, SELF, call=attend(use_causal_mask=True)),
        Case(f"{name}_cross", make, CROSS, call=attend()),
        Case(f"{name}_cross_causal", make, CROSS, call=attend(use_causal_mask=True)),
        Case(f"{name}_key", make, (*CROSS, (3, 7, 4)), call=attend()),
        Case(f"{name}_no_bias", lambda: make(use_bias=False), SELF, call=attend()),
        Case(f"{name}_masked", make, SELF, masked=(0,), call=attend()),
        Case(f"{name}_masked_cross", make, CROSS, masked=(0, 1), call=attend()),
        Case(
            f"{name}_masked_key",
            make,
            (*CROSS, (3, 7, 4)),
            masked=(1, 2),
            call=attend(use_causal_mask=True),
        ),
        Case(f"{name}_mask_behind", make, SELF, masked=(0,), call=then_add),
        Case(
            f"{name}_attention_mask",
            make,
            (*SELF, (3, 5, 5)),
            dtypes=("float32", "int32"),
            below=2,
            call=with_mask,
        ),
        Case(
            f"{name}_window",
            lambda: make(sliding_window=2),
            SELF,
            call=attend(use_causal_mask=True),
        ),
        Case(f"{name}_gate", lambda: make(use_gate=True), SELF, call=attend()),
        Case(
            f"{name}_dropout",
            lambda: make(dropout=0.3),
            SELF,
            masked=(0,),
            call=attend(use_causal_mask=True),
            random=True,
            advances=True,
        ),
        Case(
            f"{name}_scores",
            make,
            SELF,
            call=attend(return_attention_scores=True),
            lowered=False,
        ),
    ]


CASES = (
    *family("attention", lambda **settings: L.MultiHeadAttention(2, 3, **settings)),
    *family("grouped", lambda **settings: L.GroupQueryAttention(3, 4, 2, **settings)),
    Case("attention_value_dim", lambda: L.MultiHeadAttention(2, 3, 5), SELF, call=attend()),
    Case(
        "attention_output_shape",
        lambda: L.MultiHeadAttention(2, 3, output_shape=6),
        SELF,
        call=attend(),
    ),
    Case(
        "attention_images",
        lambda: L.MultiHeadAttention(2, 3),
        ((2, 3, 4, 8),),
        call=attend(),
        lowered=False,
    ),
)
