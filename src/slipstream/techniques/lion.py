"""Lion."""

from __future__ import annotations

from slipstream.techniques._base import (
    OPTIMIZER_KEYS,
    Choice,
    Range,
    Technique,
    always,
    choose_optimizer,
    found_optimizer,
)

TECHNIQUE = Technique(
    name="lion",
    title="Lion",
    summary=(
        "Only the sign of a mixture of gradient and momentum moves a weight: every step has "
        "the same size."
    ),
    formula=(
        "u = sign(b1 * m + (1 - b1) * g);  m = b2 * m + (1 - b2) * g;  w = w - rate * (u + "
        "decay * w)"
    ),
    helps="Large batches and vision models; it keeps one number per weight less than Adam.",
    hurts=(
        "Small batches, whose noisy signs it takes at full size; it wants a rate 3 to 10 times "
        "below Adam's."
    ),
    cost="One more number for each weight, and an update that reads and writes it.",
    reference="Chen et al., Symbolic discovery of optimization algorithms, 2023, arXiv:2302.06675",
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("lion", 2e-4, {"optimizer.beta_2": 0.99}),
    applies=always,
    search={"schedule.peak": Range(1e-5, 3e-3, log=True), "optimizer.beta_2": Choice((0.98, 0.99))},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("lion"),
)
