"""TensorFloat-32."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="tensor_float32",
    title="TensorFloat-32",
    summary=(
        "A GPU multiplies float32 matrices with 10 fraction bits and adds in float32. Without a "
        "GPU it does nothing, and the record says so."
    ),
    formula="TensorFloat-32: 1 sign, 8 exponent and 10 fraction bits",
    helps="Training in float32 on an NVIDIA GPU since Ampere: products take less time.",
    hurts="Where 3 decimal digits of a product are too few, as in linear solves within a model.",
    cost="None.",
    reference="NVIDIA, A100 Tensor Core GPU architecture, 2020",
    keys=("precision.tf32",),
    edit=set_keys({"precision.tf32": "on"}),
    applies=always,
    after=("backend", "precision"),
    search={"precision.tf32": Choice(("as_backend", "on"))},
)
