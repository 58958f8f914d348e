"""Decoupled weight decay."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="weight_decay",
    title="Decoupled weight decay",
    summary=(
        "Every update shrinks the weights a little, apart from the gradient; norm scales and "
        "biases are spared."
    ),
    formula="w = w - rate * decay * w",
    helps="AdamW, Lion and Muon on nets that overfit, and long trainings.",
    hurts="Short runs of small nets; too large a decay keeps the training loss up.",
    cost="A pass over the weights in each update.",
    reference=(
        "Loshchilov and Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101"
    ),
    keys=("optimizer.weight_decay", "optimizer.decay_norm_and_bias"),
    edit=set_keys({"optimizer.weight_decay": 0.01, "optimizer.decay_norm_and_bias": False}),
    applies=always,
    after=("optimizer",),
    search={"optimizer.weight_decay": Choice((0.0, 0.001, 0.01, 0.05, 0.1))},
)
