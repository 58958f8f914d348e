"""Inverse time decay."""

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
    name="inverse_time",
    title="Inverse time decay",
    summary=(
        "The learning rate falls as one over the updates made: fast at first, then ever slower."
    ),
    formula="rate = peak * max(floor, 1 / (1 + (1 / decay_rate - 1) * run / decay_every))",
    helps=(
        "Runs whose length is not known beforehand, and convex problems, where it has guarantees."
    ),
    hurts=("Known lengths: a decay that ends at zero usually reaches a better end."),
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Robbins and Monro, A stochastic approximation method, 1951, doi:10.1214/aoms/1177729586"
    ),
    keys=("schedule.name", "schedule.decay_rate", "schedule.decay_every", "schedule.staircase"),
    edit=choose_schedule("inverse_time"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.decay_rate": Choice((0.1, 0.2, 0.5)),
        "schedule.decay_every": Choice((0.1, 0.2, 0.3, 0.5)),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("inverse_time"),
)
