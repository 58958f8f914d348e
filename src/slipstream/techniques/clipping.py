"""Clipping by global norm."""

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
    name="clipping",
    title="Clipping by global norm",
    summary=(
        "Where the gradient as a whole is longer than a bound, it is shortened to it; its "
        "direction stays."
    ),
    formula="g = g * min(1, bound / norm(g)),  norm over all weights together",
    helps=(
        "Recurrent nets, Transformers and large rates: one bad batch cannot throw the weights "
        "far away."
    ),
    hurts=(
        "A bound below the usual norm only scales the rate down: a clipped_share near 1 in the "
        "record tells."
    ),
    cost="A pass over the gradients in each update.",
    reference=(
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, "
        "2013, arXiv:1211.5063"
    ),
    keys=("clipping.global_norm",),
    edit=choose_clipping("clipping.global_norm", 1.0),
    applies=always,
    search={"clipping.global_norm": Choice((0.0, 0.5, 1.0, 5.0))},
    one_of="clipping",
    along=CLIPPING_KEYS,
    found=found_clipping("clipping.global_norm"),
)
