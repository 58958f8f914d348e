"""LAMB."""

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
    name="lamb",
    title="LAMB",
    summary="Adam whose step is scaled, array by array, to the size of the weights that it moves.",
    formula=(
        "r = m_hat / (sqrt(v_hat) + epsilon);  w = w - rate * ||w|| / ||r|| * r, and the ratio is "
        "1 where a norm is 0"
    ),
    helps="Very large batches of Transformers, whose layers tolerate different rates.",
    hurts=(
        "Small batches, where Adam does as well; Keras applies weight decay apart, so that it is "
        "no part of the ratio as it is in the paper."
    ),
    cost=(
        "Two more numbers for each weight, and an update that reads and writes them. Two norms "
        "for each array."
    ),
    reference=(
        "You et al., Large batch optimization for deep learning: Training BERT in 76 minutes, "
        "2020, arXiv:1904.00962"
    ),
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer("lamb", 5e-3),
    applies=always,
    search={"schedule.peak": Range(5e-4, 0.1, log=True)},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("lamb"),
)
