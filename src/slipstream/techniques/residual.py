"""Residual connections."""

from __future__ import annotations

from slipstream.techniques._architecture import LINEAR, RECURRENT, needs_layers
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="residual",
    title="Residual connections",
    summary=(
        "Lets what goes into two blocks of equal shape go around them too: as it is (plain), or "
        "through a gate for each channel that begins at 0 (gated), which leaves outputs as they "
        "are at first."
    ),
    formula="plain: y = x + f(x);  gated: y = f(x) + gate * x,  gate = 0 at first",
    helps="Nets of many layers of one width, whose gradients vanish on the way.",
    hurts="Shallow nets; nets whose widths change at every layer have nothing to go around.",
    cost="An addition for every second block; gated: a multiplication and a weight per channel.",
    reference=(
        "He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015, "
        "arXiv:1512.03385; Bachlechner et al., ReZero is all you need, 2020, arXiv:2003.04887"
    ),
    keys=("architecture.residual",),
    edit=set_keys({"architecture.residual": "plain"}),
    applies=needs_layers(
        3, *LINEAR, *RECURRENT, why="the model has no two layers with weights before its last"
    ),
    search={"architecture.residual": Choice(("off", "plain", "gated"))},
)
