"""How kernels are drawn."""

from __future__ import annotations

from slipstream.techniques._architecture import LINEAR, needs_layers
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="initialization",
    title="Initialization",
    summary=(
        "Draws the kernels of Dense and convolutional layers anew: He, Glorot, orthogonal, or "
        "LSUV, which scales orthogonal ones layer by layer until the outputs for 256 training "
        "examples have variance 1."
    ),
    formula=("he: variance = 2 / fan_in;  glorot: 2 / (fan_in + fan_out);  lsuv: K = K / std(K x)"),
    helps="Deep nets of ReLU without normalization, which Keras' default lets fade.",
    hurts="Weights that were trained before: they are lost.",
    cost="None while training; LSUV runs 256 examples forward about twice for each layer.",
    reference=(
        "He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852; Mishkin and Matas, All "
        "you need is a good init, 2016, arXiv:1511.06422"
    ),
    keys=("architecture.init",),
    edit=set_keys({"architecture.init": "he_normal"}),
    applies=needs_layers(1, *LINEAR, why="the model has no Dense or convolutional layer"),
    search={"architecture.init": Choice(("as_model", "he_normal", "orthogonal", "lsuv"))},
)
