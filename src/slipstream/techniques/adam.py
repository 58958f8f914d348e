"""Adam."""

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
    name="adam",
    title="Adam",
    summary=(
        "Each weight has a step of its own: its mean gradient over the root of its mean square."
    ),
    formula=(
        "m = b1 * m + (1 - b1) * g;  v = b2 * v + (1 - b2) * g**2;  w = w - rate * m_hat / "
        "(sqrt(v_hat) + epsilon)"
    ),
    helps="Nearly everywhere as a first choice: it forgives a rate that is off by a few times.",
    hurts=(
        "Now and then it ends with slightly worse held-out quality than well-tuned SGD on images."
    ),
    cost="Two more numbers for each weight, and an update that reads and writes them.",
    reference="Kingma and Ba, Adam: A method for stochastic optimization, 2015, arXiv:1412.6980",
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("adam", 1e-3),
    applies=always,
    search={
        "schedule.peak": Range(1e-4, 3e-2, log=True),
        "optimizer.beta_2": Choice((0.95, 0.99, 0.999)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("adam"),
)
