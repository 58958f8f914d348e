"""One-cycle."""

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
    name="one_cycle",
    title="One-cycle",
    summary=(
        "The learning rate rises along a cosine from a 25th of a high peak, then falls along a "
        "cosine to its floor."
    ),
    formula=(
        "t < W: rate = peak * (s + (1 - s) * (1 - cos(pi * t / W)) / 2), s = 1/25;  then the "
        "cosine decay"
    ),
    helps="Short trainings at rates that would diverge from the start: super-convergence.",
    hurts="Runs that are stopped early or prolonged; small rates, where it only loses time.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Smith and Topin, Super-convergence: very fast training of neural networks using large "
        "learning rates, 2018, arXiv:1708.07120"
    ),
    keys=("schedule.name", "schedule.floor", "schedule.warmup"),
    edit=choose_schedule("one_cycle", {"schedule.warmup": 0.3}),
    applies=needs_a_decay,
    after=("optimizer",),
    clashes=("warmup",),
    search={
        "schedule.warmup": Choice((0.1, 0.2, 0.3, 0.4)),
        "schedule.floor": Choice((0.0, 0.001, 0.01)),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("one_cycle", "schedule.warmup"),
)
