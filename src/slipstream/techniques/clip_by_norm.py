"""Clipping by norm."""

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
    name="clip_by_norm",
    title="Clipping by norm",
    summary=(
        "Where the gradient of one variable is longer than a bound, that variable's alone is "
        "shortened to it."
    ),
    formula="g = g * min(1, bound / norm(g)),  norm over each variable by itself",
    helps=(
        "Nets in which one layer explodes while the others are well: those keep their full step."
    ),
    hurts=("The layers' gradients no longer stand in their true proportion to each other."),
    cost="A pass over the gradients in each update.",
    reference=(
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, "
        "2013, arXiv:1211.5063"
    ),
    keys=("clipping.norm",),
    edit=choose_clipping("clipping.norm", 1.0),
    applies=always,
    search={
        "clipping.norm": Choice((0.0, 0.5, 1.0, 5.0)),
    },
    one_of="clipping",
    along=CLIPPING_KEYS,
    found=found_clipping("clipping.norm"),
)
