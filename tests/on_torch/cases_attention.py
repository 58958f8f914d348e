"""Cases of the attention layers; see conformance.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
from conformance import Case

L = keras.layers
SELF = ((3, 5, 8),)
CROSS = ((3, 5, 8), (3, 7, 8))
# Softmax does not see what all scores of a query have in common, as the bias of the keys is.
ZERO = ("gradient of bias 3",)


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
    keys = (*CROSS, (3, 7, 4))
    return [
        Case(name, make, SELF, call=attend()),
        Case(f"{name}_causal", make, SELF, call=attend(use_causal_mask=True)),
        Case(f"{name}_cross", make, CROSS, call=attend()),
        Case(f"{name}_cross_causal", make, CROSS, call=attend(use_causal_mask=True)),
        Case(f"{name}_key", make, keys, call=attend()),
        Case(f"{name}_no_bias", lambda: make(use_bias=False), SELF, call=attend()),
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


def multi_head(**settings: Any) -> Any:
    return L.MultiHeadAttention(2, 3, **settings)


def grouped(**settings: Any) -> Any:
    return L.GroupQueryAttention(3, 4, 2, **settings)


# What is the same code for both layers is tried with one of them.
FOR_GROUPED = ("grouped", "grouped_causal", "grouped_cross", "grouped_window", "grouped_gate")
# Keras' GroupQueryAttention warns of masks that its parts do not pass on.
MASKED = (
    Case("attention_masked", multi_head, SELF, masked=(0,), call=attend()),
    Case("attention_masked_cross", multi_head, CROSS, masked=(0, 1), call=attend()),
    Case(
        "attention_masked_key",
        multi_head,
        (*CROSS, (3, 7, 4)),
        masked=(1, 2),
        call=attend(use_causal_mask=True),
    ),
    Case("attention_mask_behind", multi_head, SELF, masked=(0,), call=then_add),
    Case(
        "attention_masked_dropout",
        lambda: multi_head(dropout=0.3),
        SELF,
        masked=(0,),
        call=attend(use_causal_mask=True),
        random=True,
        advances=True,
    ),
)
ALL = (
    *family("attention", multi_head),
    *(case for case in family("grouped", grouped) if case.name in FOR_GROUPED),
    *MASKED,
    Case("attention_value_dim", lambda: multi_head(value_dim=5), SELF, call=attend()),
    Case("attention_output_shape", lambda: multi_head(output_shape=6), SELF, call=attend()),
    Case("attention_images", multi_head, ((2, 3, 4, 8),), call=attend(), lowered=False),
)
CASES = tuple(replace(case, zero=ZERO) for case in ALL)
