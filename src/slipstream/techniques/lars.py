"""LARS."""

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
    name="lars",
    title="LARS",
    summary=(
        "SGD with momentum whose step for each weight matrix is a fixed share of the matrix's "
        "own size; vectors follow plain momentum."
    ),
    formula=(
        "local = trust * ||w|| / (||g|| + decay * ||w||);  "
        "m = momentum * m + rate * local * (g + decay * w);  w = w - m"
    ),
    helps="Very large batches of convolutional nets.",
    hurts=(
        "Small batches, where plain momentum does as well; biases and norms see the full rate, "
        "so that trust and rate have to be chosen together."
    ),
    cost=(
        "One more number for each weight, and an update that reads and writes it. Two norms "
        "for each array."
    ),
    reference=(
        "You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017, "
        "arXiv:1708.03888"
    ),
    keys=("optimizer.name", "optimizer.momentum", "optimizer.trust", "schedule.peak"),
    edit=choose_optimizer("lars", 0.05, {"optimizer.momentum": 0.9}),
    applies=always,
    search={
        "schedule.peak": Range(5e-3, 1.0, log=True),
        "optimizer.trust": Choice((0.005, 0.02, 0.1)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("lars"),
)
