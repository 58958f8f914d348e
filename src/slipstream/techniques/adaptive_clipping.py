"""Adaptive gradient clipping."""

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
    name="adaptive_clipping",
    title="Adaptive gradient clipping",
    summary=(
        "The gradient of each unit is kept in proportion to the unit's weights; output layers are "
        "left alone."
    ),
    formula=(
        "g_u = g_u * min(1, bound * max(norm(w_u), 0.001) / norm(g_u)),  u: the weights of one unit"
    ),
    helps=("Large batches and large rates, and nets without normalization layers."),
    hurts=(
        "Nets with normalization, where the size of weights means little; a bound that is too "
        "small slows training."
    ),
    cost="Two norms for each unit in each update: several passes over weights and gradients.",
    reference=(
        "Brock, De, Smith and Simonyan, High-performance large-scale image recognition without "
        "normalization, 2021, arXiv:2102.06171"
    ),
    keys=("clipping.adaptive",),
    edit=choose_clipping("clipping.adaptive", 0.01),
    applies=always,
    search={
        "clipping.adaptive": Choice((0.0, 0.01, 0.04, 0.16)),
    },
    one_of="clipping",
    along=CLIPPING_KEYS,
    found=found_clipping("clipping.adaptive"),
)
