"""Cosine decay."""

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
    name="cosine",
    title="Cosine decay",
    summary="The learning rate falls along half a cosine, slowly at both ends.",
    formula="rate = peak * (floor + (1 - floor) * (1 + cos(pi * part)) / 2)",
    helps="Runs of known length, whatever the optimizer.",
    hurts="Runs that are stopped early: the rate is still high then.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, 2017, "
        "arXiv:1608.03983"
    ),
    keys=("schedule.name", "schedule.floor"),
    edit=choose_schedule("cosine"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={"schedule.floor": Choice((0.0, 0.01, 0.1))},
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("cosine"),
)
