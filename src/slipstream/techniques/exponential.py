"""Exponential decay."""

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
    name="exponential",
    title="Exponential decay",
    summary="The learning rate falls by the same factor in every stretch of the run, smoothly.",
    formula="rate = peak * max(floor, decay_rate ** (run / decay_every))",
    helps="Where a rate should fall fast at first and then ever more slowly.",
    hurts="Where the factor is guessed: too small and the training freezes early.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Li and Arora, An exponential learning rate schedule for deep learning, 2020, "
        "arXiv:1910.07454"
    ),
    keys=("schedule.name", "schedule.decay_rate", "schedule.decay_every", "schedule.floor"),
    edit=choose_schedule("exponential"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.decay_rate": Choice((0.1, 0.3, 0.5, 0.8)),
        "schedule.decay_every": Choice((0.1, 0.2, 0.3, 0.5)),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("exponential"),
)
