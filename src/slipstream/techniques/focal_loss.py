"""Focal loss."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique
from slipstream.techniques._losses import LOSS_KEYS, choose_loss, for_kind, found_loss

TECHNIQUE = Technique(
    name="focal_loss",
    title="Focal loss",
    summary=(
        "A cross-entropy in which examples that are right already weigh less, so that rare and "
        "hard ones are heard. The task's own loss still judges."
    ),
    formula="loss = -(1 - p[y])**focus * log p[y]",
    helps="Classes of very unequal size, and many easy examples.",
    hurts="Balanced classes, wrong labels, which it listens to, and calibrated probabilities.",
    cost="None to speak of: the loss is a small part of a step.",
    reference="Lin et al., Focal loss for dense object detection, 2017, arXiv:1708.02002",
    keys=("loss.name", "loss.focus", "loss.balance"),
    edit=choose_loss("focal"),
    applies=for_kind("classification", "there are no classes"),
    search={"loss.focus": Choice((1.0, 2.0, 3.0))},
    one_of="loss",
    along=LOSS_KEYS,
    found=found_loss("focal"),
)
