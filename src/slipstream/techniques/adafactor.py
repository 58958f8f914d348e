"""Adafactor."""

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
    name="adafactor",
    title="Adafactor",
    summary=(
        "Keeps the mean squares of a matrix as one value for each row and column in place of one "
        "for each weight, and takes steps in proportion to the weights."
    ),
    formula=(
        "v = rows(g^2) x columns(g^2) / mean(rows(g^2)), averaged with 1 - t^-0.8;  "
        "u = g / sqrt(v), its root mean square bounded by 1;  "
        "w = w - max(0.001, rms(w)) * min(rate, 1 / sqrt(t)) * u"
    ),
    helps="Large embeddings and Transformers whose optimizer's memory does not fit.",
    hurts=(
        "Small nets, where memory is no question; Keras bounds the rate by 1 / sqrt(t), which "
        "cuts high rates late in a run."
    ),
    cost="One number for each row and column of a matrix; a little more arithmetic than Adam.",
    reference=(
        "Shazeer and Stern, Adafactor: Adaptive learning rates with sublinear memory cost, 2018, "
        "arXiv:1804.04235"
    ),
    keys=("optimizer.name", "schedule.peak"),
    edit=choose_optimizer("adafactor", 1e-2),
    applies=always,
    search={"schedule.peak": Range(1e-3, 0.3, log=True)},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("adafactor"),
)
