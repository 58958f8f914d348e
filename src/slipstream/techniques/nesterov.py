"""SGD with Nesterov's momentum."""

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
    name="nesterov",
    title="SGD with Nesterov's momentum",
    summary=(
        "Momentum whose gradient counts as if taken where the momentum leads, which damps "
        "overshooting."
    ),
    formula="m = momentum * m - rate * g;  w = w + momentum * m - rate * g",
    helps=(
        "The same places as momentum; at large rates, as in one-cycle training, it is a little "
        "more stable."
    ),
    hurts="Where plain momentum hurts too.",
    cost="One more number for each weight, and an update that reads and writes it.",
    reference=(
        "Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum "
        "in deep learning, ICML 2013"
    ),
    keys=("optimizer.name", "optimizer.momentum", "optimizer.nesterov", "schedule.peak"),
    edit=choose_optimizer("sgd", 0.05, {"optimizer.momentum": 0.9, "optimizer.nesterov": True}),
    applies=always,
    search={
        "schedule.peak": Range(1e-3, 2.0, log=True),
        "optimizer.momentum": Choice((0.8, 0.9, 0.95)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("sgd", nesterov=True),
)
