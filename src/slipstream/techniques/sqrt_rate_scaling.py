"""Rate with the square root of the batch."""

from __future__ import annotations

from slipstream.techniques._base import Technique
from slipstream.techniques._rate_scaling import follow_batch, found_rule, needs_a_fixed_rate

TECHNIQUE = Technique(
    name="sqrt_rate_scaling",
    title="Learning rate with the square root of the batch",
    summary=(
        "The learning rate, given for batch.rate_base examples an update, follows the "
        "square root of the batch, whatever changes it."
    ),
    formula="rate = peak * sqrt(k), where k = batch.size * batch.accumulation / rate_base",
    helps="Adam and its family, which divide by the gradient's size.",
    hurts="SGD, for which it is too timid.",
    cost="None.",
    reference=(
        "Malladi, Lyu, Panigrahi and Arora, On the SDEs and scaling rules for adaptive gradient "
        "algorithms, 2022, arXiv:2205.10287"
    ),
    keys=("batch.rate_scaling", "batch.rate_base"),
    edit=follow_batch("sqrt"),
    applies=needs_a_fixed_rate,
    after=("optimizer", "learning_rate", "batch_size", "accumulation"),
    one_of="rate_scaling",
    found=found_rule("sqrt"),
)
