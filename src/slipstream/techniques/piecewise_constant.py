"""Piecewise constant."""

from __future__ import annotations

from slipstream.techniques._base import (
    SCHEDULE_KEYS,
    Choice,
    Technique,
    choose_schedule,
    found_schedule,
    needs_a_decay,
)

TECHNIQUE = Technique(
    name="piecewise_constant",
    title="Piecewise constant",
    summary=(
        "The learning rate is level between chosen moments and jumps to a chosen value at each."
    ),
    formula="rate = peak * factor of the last piece that has begun",
    helps=("Published recipes that state their drops, in epochs or steps."),
    hurts=("The moments are constants of one task: they fit no other length or data set."),
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural "
        "networks, 2012, doi:10.1145/3065386"
    ),
    keys=("schedule.name", "schedule.pieces"),
    edit=choose_schedule("piecewise_constant"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.pieces": Choice(("0.5: 0.1, 0.75: 0.01", "0.6: 0.2, 0.8: 0.04", "0.8: 0.1")),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("piecewise_constant"),
)
