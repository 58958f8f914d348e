"""Layer-wise decay of the learning rate."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="layer_decay",
    title="Layer-wise rate decay",
    summary=(
        "Each layer learns at a fixed fraction of the rate of the layer after it: what was "
        "learnt first and is most general changes least."
    ),
    formula="rate of a layer = rate * layer_decay ^ (layers of matrices after it)",
    helps="Fine-tuning of pre-trained nets, Transformers above all.",
    hurts="Training from scratch, where the first layers have the most to learn.",
    cost="One multiplication for each array.",
    reference=(
        "Clark, Luong, Le and Manning, ELECTRA: Pre-training text encoders as discriminators, "
        "2020, arXiv:2003.10555"
    ),
    keys=("groups.layer_decay",),
    edit=set_keys({"groups.layer_decay": 0.8}),
    applies=always,
    after=("optimizer", "learning_rate"),
    search={"groups.layer_decay": Choice((0.65, 0.8, 0.9, 1.0))},
)
