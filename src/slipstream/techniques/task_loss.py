"""The task's own loss."""

from __future__ import annotations

from slipstream.techniques._base import Technique, always
from slipstream.techniques._losses import LOSS_KEYS, choose_loss, found_loss

TECHNIQUE = Technique(
    name="task_loss",
    title="The task's own loss",
    summary="Training minimises what the task is judged by.",
    formula="none: the task's own",
    helps="Nearly always: what is trained is what is asked for.",
    hurts="Losses that are hard to descend, or deaf to what is rare.",
    cost="None.",
    reference="The Keras documentation, Losses",
    keys=("loss.name",),
    edit=choose_loss("as_task"),
    applies=always,
    one_of="loss",
    along=LOSS_KEYS,
    found=found_loss("as_task"),
)
