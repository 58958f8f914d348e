"""Rate in proportion to the batch."""

from __future__ import annotations

from slipstream.techniques._base import Technique
from slipstream.techniques._rate_scaling import follow_batch, found_rule, needs_a_fixed_rate

TECHNIQUE = Technique(
    name="linear_rate_scaling",
    title="Learning rate in proportion to the batch",
    summary=(
        "The learning rate, given for batch.rate_base examples an update, follows the "
        "batch in proportion, whatever changes it."
    ),
    formula="rate = peak * k, where k = batch.size * batch.accumulation / rate_base",
    helps="SGD on batches up to a few thousand examples, with a warm-up.",
    hurts="Adam and its family, for which the square root is right; very large batches.",
    cost="None.",
    reference=(
        "Goyal et al., Accurate, large minibatch SGD: Training ImageNet in 1 hour, 2017, "
        "arXiv:1706.02677"
    ),
    keys=("batch.rate_scaling", "batch.rate_base"),
    edit=follow_batch("linear"),
    applies=needs_a_fixed_rate,
    after=("optimizer", "learning_rate", "batch_size", "accumulation"),
    one_of="rate_scaling",
    found=found_rule("linear"),
)
