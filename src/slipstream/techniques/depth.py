"""Number of repeated blocks."""

from __future__ import annotations

from slipstream.techniques._architecture import LINEAR, RECURRENT, needs_layers
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="depth",
    title="Depth of the model",
    summary=(
        "Multiplies the number of blocks of equal shape in a row; new ones begin as the identity, "
        "so that outputs stay as they are at first."
    ),
    formula="n blocks in a row  ->  max(1, round(depth * n))",
    helps="Above 1, residual nets that underfit; below 1, nets deeper than their data ask for.",
    hurts="Nets without normalization or residual connections grow harder to train.",
    cost="Arithmetic, parameters and memory grow with the blocks.",
    reference=(
        "Tan and Le, EfficientNet, 2019, arXiv:1905.11946; Chen, Goodfellow and Shlens, Net2Net, "
        "2015, arXiv:1511.05641"
    ),
    keys=("architecture.depth",),
    edit=set_keys({"architecture.depth": 2.0}),
    applies=needs_layers(
        3, *LINEAR, *RECURRENT, why="the model has no two layers with weights before its last"
    ),
    search={"architecture.depth": Choice((0.5, 1.0, 1.5, 2.0))},
)
