"""Linear decay."""

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
    name="linear_decay",
    title="Linear decay",
    summary="The learning rate falls in a straight line to its floor.",
    formula="rate = peak * (1 - (1 - floor) * part)",
    helps=(
        "Runs of known length; in theory and in many measurements it is the best of the simple "
        "shapes."
    ),
    hurts="Runs that are stopped early.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Defazio, Cutkosky, Mehta and Mishchenko, Optimal linear decay learning rate schedules "
        "and further refinements, 2023, arXiv:2310.07831"
    ),
    keys=("schedule.name", "schedule.floor"),
    edit=choose_schedule("linear"),
    applies=needs_a_decay,
    after=("optimizer",),
    search={"schedule.floor": Choice((0.0, 0.01, 0.1))},
    one_of="schedule",
    along=SCHEDULE_KEYS,
    found=found_schedule("linear"),
)
