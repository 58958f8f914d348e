"""SGD with momentum."""

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
    name="sgd_momentum",
    title="SGD with momentum",
    summary=(
        "Every update keeps a share of the last one, so that steps along a lasting direction "
        "add up."
    ),
    formula="m = momentum * m - rate * g;  w = w + m",
    helps=(
        "Where the best held-out quality matters more than the least tuning, convolutional "
        "nets above all."
    ),
    hurts=(
        "Where gradients differ much in scale between layers, as in Transformers; and with a "
        "badly chosen rate."
    ),
    cost="One more number for each weight, and an update that reads and writes it.",
    reference=(
        "B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964, "
        "doi:10.1016/0041-5553(64)90137-5"
    ),
    keys=("optimizer.name", "optimizer.momentum", "schedule.peak"),
    edit=choose_optimizer("sgd", 0.05, {"optimizer.momentum": 0.9}),
    applies=always,
    search={
        "schedule.peak": Range(1e-3, 2.0, log=True),
        "optimizer.momentum": Choice((0.0, 0.8, 0.9, 0.95)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("sgd"),
)
