"""Slipstream's loop."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="own_loop",
    title="Slipstream's loop",
    summary=(
        "Slipstream's training loop takes the place of Keras' fit: less work between steps, "
        "and a data order that is the same on all backends."
    ),
    formula="none: the same updates, with less work between them",
    helps=(
        "Small nets, where the loop costs more than the step; and everything that Keras' loop "
        "has not."
    ),
    hurts="Models with a train_step of their own that counts on what fit does around it.",
    cost="None; other orders of examples than Keras' fit.",
    reference="Keras documentation, Writing a training loop from scratch",
    keys=("runtime.loop",),
    edit=set_keys({"runtime.loop": "slipstream"}),
    applies=always,
    search={"runtime.loop": Choice(("keras", "slipstream"))},
)
