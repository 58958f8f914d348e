"""Cosine with warm restarts."""

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
    name="warm_restarts",
    title="Cosine with warm restarts",
    summary="The learning rate falls along a cosine and jumps back to its peak, several times.",
    formula=(
        "rate = peak * (floor + (1 - floor) * (1 + cos(pi * fraction_part(cycles * part))) / 2)"
    ),
    helps="Runs that should yield several good models on the way, as for an ensemble.",
    hurts="A single model at the end: each restart undoes some progress.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, 2017, "
        "arXiv:1608.03983"
    ),
    keys=("schedule.name", "schedule.cycles", "schedule.floor"),
    edit=choose_schedule("warm_restarts"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={"schedule.cycles": Choice((2, 3, 4, 5))},
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("warm_restarts"),
)
