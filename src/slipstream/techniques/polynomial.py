"""Polynomial decay."""

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
    name="polynomial",
    title="Polynomial decay",
    summary=("The learning rate falls to its floor along a power of what is left of the run."),
    formula="rate = peak * (floor + (1 - floor) * (1 - part) ** power)",
    helps=(
        "Segmentation nets and others tuned with it; a power above 1 spends longer at small rates."
    ),
    hurts=("A large power has fallen far before half of the run has passed."),
    cost="None: the rates of all updates are one array, made before the first.",
    reference=("Chen, Papandreou, Kokkinos, Murphy and Yuille, DeepLab, 2017, arXiv:1606.00915"),
    keys=("schedule.name", "schedule.power", "schedule.floor"),
    edit=choose_schedule("polynomial"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.power": Choice((0.5, 0.9, 1.5, 2.0, 3.0)),
        "schedule.floor": Choice((0.0, 0.01, 0.1)),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("polynomial"),
)
