"""Single precision."""

from __future__ import annotations

from slipstream.techniques._base import Technique, always, found_value, set_keys

TECHNIQUE = Technique(
    name="float32",
    title="Single precision",
    summary="All numbers have 32 bits.",
    formula="each operation rounds by at most 2^-24 of its result; bfloat16's by 2^-8",
    helps="Where 16 bits bring no speed, as on processors without units for them, or cost quality.",
    hurts="Hardware with fast 16-bit units, which it leaves idle.",
    cost="Twice the memory traffic of 16-bit formats.",
    reference="IEEE Standard for Floating-Point Arithmetic, 2019, doi:10.1109/IEEESTD.2019.8766229",
    keys=("precision.policy",),
    edit=set_keys({"precision.policy": "float32"}),
    applies=always,
    after=("backend",),
    one_of="precision",
    found=found_value("precision.policy", "float32"),
)
