"""Muon."""

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
    name="muon",
    title="Muon",
    summary=(
        "The update of each weight matrix is made orthogonal, so that all its directions learn "
        "alike; other weights follow AdamW."
    ),
    formula=(
        "M = momentum * M + G;  W = W - rate * 0.2 * sqrt(max(rows, columns)) * orthogonal_part(M)"
    ),
    helps="Nets whose weights are mostly matrices: dense layers and Transformers.",
    hurts=(
        "Convolutional nets in Keras, whose kernels are not matrices, and tiny nets, where its "
        "products cost more than they save."
    ),
    cost=(
        "One more number for each weight, and an update that reads and writes it. Five "
        "products of matrices for each matrix."
    ),
    reference=(
        "Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; Liu et "
        "al., 2025, arXiv:2502.16982"
    ),
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("muon", 2e-3),
    applies=always,
    search={"schedule.peak": Range(1e-4, 3e-2, log=True)},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("muon"),
)
