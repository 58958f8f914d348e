"""Reduce on plateau."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if not task.num_validation:
        return "there is no validation split to watch"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' lowers no rate that a schedule sets"
    if plan.optimizer.name == "schedule_free_adamw":
        return "optimizer.name = 'schedule_free_adamw' takes the place of a decay"
    return None


TECHNIQUE = Technique(
    name="reduce_on_plateau",
    title="Reduce on plateau",
    summary=(
        "Where the watched metric has not become better for some evaluations, the rate of "
        "whatever schedule runs is multiplied by a factor, from then on."
    ),
    formula=(
        "rate = schedule * max(floor, factor ** k), k: how often patience evaluations in a row "
        "brought nothing better"
    ),
    helps="Long runs at a constant rate, when nobody knows where the drops belong.",
    hurts="Noisy metrics and short patience; decays that already end at zero.",
    cost="None: the evaluations are made anyway.",
    reference=(
        "Bengio, Practical recommendations for gradient-based training of deep architectures, "
        "2012, arXiv:1206.5533"
    ),
    keys=(
        "schedule.plateau_patience",
        "schedule.plateau_factor",
        "schedule.plateau_floor",
        "schedule.plateau_cooldown",
        "schedule.plateau_min_delta",
    ),
    edit=set_keys({"schedule.plateau_patience": 3, "schedule.plateau_factor": 0.5}),
    applies=_applies,
    after=("optimizer", "schedule", "own_loop"),
    search={
        "schedule.plateau_patience": Choice((0, 2, 3, 5)),
        "schedule.plateau_factor": Choice((0.2, 0.5)),
    },
)
