"""Clipping by global norm."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

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
    hurts="A bound below the usual norm only scales the rate down, unseen.",
    reference=(
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, "
        "2013, arXiv:1211.5063"
    ),
    keys=("clipping.global_norm",),
    edit=set_keys({"clipping.global_norm": 1.0}),
    applies=always,
    search={"clipping.global_norm": Choice((0.0, 0.5, 1.0, 5.0))},
)
