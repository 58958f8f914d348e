"""Nadam."""

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
    name="nadam",
    title="Nadam",
    summary="Adam whose mean gradient looks one update ahead, as Nesterov's momentum does.",
    formula=(
        "m_bar = u_next * m / (1 - prod u_next) + (1 - u) * g / (1 - prod u);  "
        "w = w - rate * m_bar / (sqrt(v_hat) + epsilon)"
    ),
    helps="Where Adam does well and the gradient is not too noisy: it turns earlier.",
    hurts="Very small batches, whose last gradient it trusts more than Adam does.",
    cost="Two more numbers for each weight, and an update that reads and writes them.",
    reference="Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop, 2016",
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("nadam", 1e-3),
    applies=always,
    search={
        "schedule.peak": Range(1e-4, 3e-2, log=True),
        "optimizer.beta_2": Choice((0.95, 0.99, 0.999)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("nadam"),
)
