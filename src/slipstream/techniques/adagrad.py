"""Adagrad."""

from __future__ import annotations

from slipstream.techniques._base import (
    OPTIMIZER_KEYS,
    Range,
    Technique,
    always,
    choose_optimizer,
    found_optimizer,
)

TECHNIQUE = Technique(
    name="adagrad",
    title="Adagrad",
    summary=(
        "Each gradient is divided by the root of the sum of all its squares so far, so that "
        "steps only shrink."
    ),
    formula="s = s + g**2;  w = w - rate * g / (sqrt(s) + epsilon)",
    helps="Sparse inputs, such as word counts and embeddings of rare items.",
    hurts="Long trainings of deep nets: the steps shrink before the work is done.",
    cost="One more number for each weight, and an update that reads and writes it.",
    reference=(
        "Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and "
        "stochastic optimization, JMLR 12, 2011"
    ),
    keys=("optimizer.name", "schedule.peak"),
    edit=choose_optimizer("adagrad", 1e-2),
    applies=always,
    search={"schedule.peak": Range(1e-3, 0.3, log=True)},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("adagrad"),
)
