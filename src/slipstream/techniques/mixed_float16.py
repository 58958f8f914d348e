"""Mixed precision, float16."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, found_value, set_keys

TECHNIQUE = Technique(
    name="mixed_float16",
    title="Mixed precision, float16",
    summary=(
        "Layers compute in float16 with a scaled loss; weights, outputs and losses stay in float32."
    ),
    formula=(
        "gradient of (scale * loss) / scale; an update whose gradient overflows is skipped and "
        "the scale halved"
    ),
    helps="GPUs before bfloat16.",
    hurts="Processors, where float16 is mostly emulated; nets with values beyond 65504.",
    cost="Copies of the weights in 16 bits in each step, and a check of every gradient.",
    reference="Micikevicius et al., Mixed precision training, 2018, arXiv:1710.03740",
    keys=("precision.policy",),
    edit=set_keys({"precision.policy": "mixed_float16"}),
    applies=always,
    after=("backend",),
    search={"precision.policy": Choice(("float32", "mixed_float16"))},
    one_of="precision",
    found=found_value("precision.policy", "mixed_float16"),
)
