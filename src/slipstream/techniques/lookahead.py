"""Lookahead."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.optimizer.name == "schedule_free_adamw":
        return "optimizer.name = 'schedule_free_adamw' moves towards an average of its own"
    return None


TECHNIQUE = Technique(
    name="lookahead",
    title="Lookahead",
    summary=(
        "The optimizer explores a few updates ahead; then slow weights go part of the way and it "
        "starts from there."
    ),
    formula="every k updates: slow = slow + share * (w - slow);  w = slow",
    helps="High rates and noisy gradients: it takes out the swinging.",
    hurts="Low rates at the end of a decay, where it only slows down.",
    cost="One more number for each weight, and a pass over the weights every few updates.",
    reference=(
        "Zhang, Lucas, Hinton and Ba, Lookahead optimizer: k steps forward, 1 step back, 2019, "
        "arXiv:1907.08610"
    ),
    keys=("optimizer.lookahead", "optimizer.lookahead_share"),
    edit=set_keys({"optimizer.lookahead": 5, "optimizer.lookahead_share": 0.5}),
    applies=_applies,
    after=("optimizer",),
    clashes=("schedule_free_adamw",),
    search={
        "optimizer.lookahead": Choice((0, 5, 10)),
        "optimizer.lookahead_share": Choice((0.5, 0.8)),
    },
)
