"""Clipping by value."""

from __future__ import annotations

from slipstream.techniques._base import (
    CLIPPING_KEYS,
    Choice,
    Technique,
    always,
    choose_clipping,
    found_clipping,
)

TECHNIQUE = Technique(
    name="clip_by_value",
    title="Clipping by value",
    summary=(
        "Each single element of the gradient is kept within a bound, whatever the others are."
    ),
    formula="g = min(max(g, -bound), bound)",
    helps=("Single elements that explode, as in recurrent nets; the cheapest bound there is."),
    hurts=("It bends the direction of the gradient, not only its length."),
    cost="One comparison for each element of the gradient.",
    reference=(
        "Mikolov, Statistical language models based on neural networks, 2012, doctoral thesis, "
        "Brno University of Technology"
    ),
    keys=("clipping.value",),
    edit=choose_clipping("clipping.value", 1.0),
    applies=always,
    search={
        "clipping.value": Choice((0.0, 0.1, 0.5, 1.0)),
    },
    one_of="clipping",
    along=CLIPPING_KEYS,
    found=found_clipping("clipping.value"),
)
