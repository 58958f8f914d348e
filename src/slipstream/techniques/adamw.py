"""AdamW."""

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
    name="adamw",
    title="AdamW",
    summary=(
        "Adam whose weight decay acts on the weights themselves, not through the gradient; put "
        "weight_decay with it."
    ),
    formula="w = w - rate * (m_hat / (sqrt(v_hat) + epsilon) + decay * w)",
    helps="Transformers, and any longer training that overfits.",
    hurts="Short runs of small nets, where the decay has no time to matter.",
    cost="Two more numbers for each weight, and an update that reads and writes them.",
    reference=(
        "Loshchilov and Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101"
    ),
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("adamw", 1e-3),
    applies=always,
    search={
        "schedule.peak": Range(1e-4, 3e-2, log=True),
        "optimizer.beta_2": Choice((0.95, 0.99, 0.999)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("adamw"),
)
