"""Averaged weights."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.optimizer.name == "schedule_free_adamw":
        return "optimizer.name = 'schedule_free_adamw' averages the weights itself"
    if plan.optimizer.swa > 0:
        return f"optimizer.swa = {plan.optimizer.swa} averages the weights already"
    return None


TECHNIQUE = Technique(
    name="ema",
    title="Averaged weights",
    summary=(
        "Evaluates and keeps a running average of the weights, which is calmer than the "
        "weights themselves."
    ),
    formula="average = ema * average + (1 - ema) * w after every update",
    helps="Constant or slowly falling rates: it takes out the noise of the last steps.",
    hurts="Short runs, where the average lags behind; after a full decay it adds little.",
    cost=(
        "One more number for each weight and a pass over them in each update; "
        "BatchNormalization's statistics are computed anew at each evaluation."
    ),
    reference=(
        "Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992, "
        "doi:10.1137/0330046"
    ),
    keys=("optimizer.ema",),
    edit=set_keys({"optimizer.ema": 0.99}),
    applies=_applies,
    after=("optimizer",),
    clashes=("schedule_free_adamw", "swa"),
    search={"optimizer.ema": Choice((0.0, 0.9, 0.99, 0.999))},
)
