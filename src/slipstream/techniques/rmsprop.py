"""RMSprop."""

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
    name="rmsprop",
    title="RMSprop",
    summary="Each gradient is divided by the root of its own running mean square.",
    formula="v = rho * v + (1 - rho) * g**2;  w = w - rate * g / (sqrt(v) + epsilon)",
    helps="Recurrent nets and objectives that move while training.",
    hurts="Where Adam's mean gradient helps too, which is most often.",
    cost="One more number for each weight, and an update that reads and writes it.",
    reference=(
        "Tieleman and Hinton, Lecture 6.5 of Neural networks for machine learning, Coursera "
        "2012; Graves, 2013, arXiv:1308.0850"
    ),
    keys=("optimizer.name", "optimizer.rho", "schedule.peak"),
    edit=choose_optimizer("rmsprop", 1e-3),
    applies=always,
    search={
        "schedule.peak": Range(1e-4, 2e-2, log=True),
        "optimizer.rho": Choice((0.9, 0.95, 0.99)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("rmsprop"),
)
