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
        "r, c = means of each row and each column of g^2 + 1e-30, averaged with 1 - t^-0.8;  "
        "u = g * sqrt(mean(r) / r) / sqrt(c), its root mean square bounded by 1;  "
        "w = w - max(0.001, rms(w)) * min(rate, 1 / sqrt(t)) * u"
    ),
    helps="Large embeddings and Transformers whose optimizer's memory does not fit.",
    hurts=(
        "Small nets, where memory is no question, and high rates late in a run, which 1 / sqrt(t) "
        "bounds. Keras 3.15.1's own class, which runtime.loop = 'keras' runs, turns weights into "
        "NaN where a row and a column never had a gradient."
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
