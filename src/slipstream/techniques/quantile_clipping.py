"""Clipping by a running quantile."""

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
    name="quantile_clipping",
    title="Clipping by a running quantile",
    summary=(
        "The bound on the norm of the whole gradient is a quantile of the norms of the last "
        "updates: it follows the training."
    ),
    formula=(
        "g = g * min(1, bound / norm(g)),  bound = quantile of the last norms, this one included"
    ),
    helps=(
        "Runs whose gradients grow or shrink by orders of magnitude, which no fixed bound fits."
    ),
    hurts=("A low quantile shortens most steps, which then differ in direction alone."),
    cost="A pass over the gradients in each update; the last norms are kept.",
    reference=(
        "Seetharaman et al., AutoClip: adaptive gradient clipping for source separation networks, "
        "2020, arXiv:2007.14469"
    ),
    keys=("clipping.quantile", "clipping.window"),
    edit=choose_clipping("clipping.quantile", 0.9),
    applies=always,
    search={
        "clipping.quantile": Choice((0.0, 0.1, 0.5, 0.9)),
        "clipping.window": Choice((50, 100, 500)),
    },
    one_of="clipping",
    along=CLIPPING_KEYS,
    found=found_clipping("clipping.quantile"),
)
