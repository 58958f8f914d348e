"""Step decay."""

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
    name="step_decay",
    title="Step decay",
    summary="The learning rate is divided a few times in the run and stays level in between.",
    formula="rate = peak * max(floor, decay_rate ** whole(run / decay_every))",
    helps=(
        "Long trainings of convolutional nets with SGD, where each drop brings a fall of the loss."
    ),
    hurts="Short runs: much of the time passes at a rate that no longer helps.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016, "
        "arXiv:1512.03385"
    ),
    keys=("schedule.name", "schedule.decay_rate", "schedule.decay_every", "schedule.floor"),
    edit=choose_schedule("step_decay"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.decay_rate": Choice((0.1, 0.2, 0.5)),
        "schedule.decay_every": Choice((0.2, 0.3, 0.4, 0.5)),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("step_decay"),
)
