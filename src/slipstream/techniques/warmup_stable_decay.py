"""Warmup-stable-decay."""

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
    name="warmup_stable_decay",
    title="Warmup-stable-decay",
    summary=(
        "After the warm-up the learning rate stays at its peak, and decays in the last part of the "
        "run alone."
    ),
    formula=(
        "t < T - D: rate = peak;  "
        "t >= T - D: rate = peak * (1 - (1 - floor) * p), p = (t - T + D) / D or its root"
    ),
    helps=(
        "Runs that may be prolonged: what comes before the last part is the same for any length."
    ),
    hurts=("Short runs, where a decay along the whole run is often a little better."),
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Hu et al., MiniCPM: unveiling the potential of small language models with scalable "
        "training strategies, 2024, arXiv:2404.06395"
    ),
    keys=("schedule.name", "schedule.decay_last", "schedule.decay_shape", "schedule.floor"),
    edit=choose_schedule("warmup_stable_decay"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={
        "schedule.decay_last": Choice((0.1, 0.2, 0.3, 0.5)),
        "schedule.decay_shape": Choice(("linear", "sqrt")),
    },
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("warmup_stable_decay"),
)
