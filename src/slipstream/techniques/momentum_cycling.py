"""Momentum cycling."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, any_differs, set_keys

LOW = 0.85


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.schedule.name != "one_cycle":
        return "schedule.name is not 'one_cycle', whose rise it mirrors"
    optimizer = plan.optimizer
    momentum = optimizer.momentum if optimizer.name == "sgd" else optimizer.beta_1
    if optimizer.name not in ("sgd", "adam", "adamw") or momentum <= LOW:
        return f"optimizer.name = '{optimizer.name}' has no momentum above {LOW:g} to cycle"
    return None


def _found(plan: Plan, baseline: Plan) -> bool:
    return any_differs(plan, baseline, ("schedule.momentum_low",))


TECHNIQUE = Technique(
    name="momentum_cycling",
    title="Momentum cycling",
    summary=(
        "While one-cycle raises the learning rate, the momentum falls, and rises again as the "
        "rate falls."
    ),
    formula=(
        "t < W: momentum = high - (high - low) * (1 - cos(pi * t / W)) / 2;  "
        "t >= W: momentum = high - (high - low) * (1 + cos(pi * part)) / 2"
    ),
    helps="One-cycle at its highest rates: less momentum at the peak keeps the run stable.",
    hurts="Moderate rates, where a constant high momentum is faster.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Smith, A disciplined approach to neural network hyper-parameters: part 1, 2018, "
        "arXiv:1803.09820"
    ),
    keys=("schedule.momentum_low",),
    edit=set_keys({"schedule.momentum_low": LOW}),
    applies=_applies,
    after=("optimizer", "schedule"),
    search={"schedule.momentum_low": Choice((0.0, 0.7, 0.8, 0.85))},
    found=_found,
)
