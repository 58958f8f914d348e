"""Dropout."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="dropout",
    title="Dropout",
    summary=(
        "Every Dropout layer takes this rate: while training it sets that share of its inputs "
        "to zero and scales the rest up."
    ),
    formula="x = x * keep / (1 - rate),  keep drawn with probability 1 - rate",
    helps="Wide dense layers that learn the training set by heart.",
    hurts=(
        "Nets that underfit, short runs, and beside BatchNormalization, whose statistics it "
        "disturbs."
    ),
    cost="A random number for each unit and example, and more epochs to the same training loss.",
    reference=(
        "Srivastava et al., Dropout: A simple way to prevent neural networks from overfitting, "
        "JMLR 15, 2014"
    ),
    keys=("regularization.dropout",),
    edit=set_keys({"regularization.dropout": 0.2}),
    applies=always,
    search={"regularization.dropout": Choice(("as_model", 0.0, 0.1, 0.2, 0.3, 0.5))},
)
