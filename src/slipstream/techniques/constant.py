"""Constant rate."""

from __future__ import annotations

from slipstream.techniques._base import (
    SCHEDULE_KEYS,
    Technique,
    always,
    choose_schedule,
    found_schedule,
)

TECHNIQUE = Technique(
    name="constant",
    title="Constant rate",
    summary="The learning rate stays at its peak to the end.",
    formula="rate = peak",
    helps="Runs whose length is open, and optimizers or averages that take the place of a decay.",
    hurts=(
        "Nearly every run of known length: without a decay the last steps stay as noisy as the "
        "first."
    ),
    cost="None.",
    reference=(
        "Bottou, Curtis and Nocedal, Optimization methods for large-scale machine learning, "
        "2018, arXiv:1606.04838"
    ),
    keys=("schedule.name",),
    edit=choose_schedule("constant"),
    applies=always,
    after=("optimizer",),
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("constant"),
)
