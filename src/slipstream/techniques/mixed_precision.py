"""Mixed precision, bfloat16."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, found_value, set_keys

TECHNIQUE = Technique(
    name="mixed_precision",
    title="Mixed precision, bfloat16",
    summary="Layers compute in bfloat16; weights, outputs and losses stay in float32.",
    formula=(
        "bfloat16: 1 sign, 8 exponent and 7 fraction bits: float32's range at 2 to 3 decimal digits"
    ),
    helps=(
        "Recent GPUs and processors with bfloat16 units: half the memory traffic and faster "
        "products."
    ),
    hurts=(
        "Hardware without such units, where it is slower; sums of many small terms, which lose "
        "digits."
    ),
    cost="Copies of the weights in 16 bits in each step; half the memory for activations.",
    reference=(
        "Kalamkar et al., A study of BFLOAT16 for deep learning training, 2019, arXiv:1905.12322"
    ),
    keys=("precision.policy",),
    edit=set_keys({"precision.policy": "mixed_bfloat16"}),
    applies=always,
    after=("backend",),
    search={"precision.policy": Choice(("float32", "mixed_bfloat16"))},
    one_of="precision",
    found=found_value("precision.policy", "mixed_bfloat16"),
)
