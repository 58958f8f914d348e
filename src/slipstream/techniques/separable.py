"""Separable convolutions."""

from __future__ import annotations

from slipstream.techniques._architecture import needs_layers
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="separable",
    title="Separable convolutions",
    summary=(
        "Each convolution with at least 8 input channels becomes one in space, channel by "
        "channel, and one over channels, position by position; with new kernels, or with those "
        "nearest to the old."
    ),
    formula="k * k * C * O multiply-adds a position  ->  k * k * C + C * O",
    helps="Convolutional nets that are bound by arithmetic, with many channels.",
    hurts=(
        "Nets of few channels, and hardware whose depthwise kernels are slow: less arithmetic may "
        "take longer."
    ),
    cost="About 1/8 of the arithmetic and parameters at 3 x 3, but a second pass over memory.",
    reference="Howard et al., MobileNets, 2017, arXiv:1704.04861",
    keys=("architecture.separable",),
    edit=set_keys({"architecture.separable": "fresh"}),
    applies=needs_layers(2, "Conv1D", "Conv2D", why="the model has no two convolutions"),
    search={"architecture.separable": Choice(("off", "fresh", "nearest"))},
)
