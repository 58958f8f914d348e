"""Stochastic weight averaging."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.optimizer.name == "schedule_free_adamw":
        return "optimizer.name = 'schedule_free_adamw' averages the weights itself"
    if plan.optimizer.ema > 0:
        return f"optimizer.ema = {plan.optimizer.ema} averages the weights already"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' averages exponentially"
    return None


TECHNIQUE = Technique(
    name="swa",
    title="Stochastic weight averaging",
    summary=(
        "Evaluates and keeps the plain mean of the weights at the ends of the last epochs, with "
        "BatchNormalization's statistics computed anew for it."
    ),
    formula="average = mean of w at the end of each epoch in the last fraction of the run",
    helps="Constant or cyclic rates, which keep moving through a wide valley.",
    hurts="After a full decay, where the last weights hardly differ; before, it changes nothing.",
    cost="One more number for each weight, and a pass over the weights once an epoch.",
    reference=(
        "Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018, "
        "arXiv:1803.05407"
    ),
    keys=("optimizer.swa",),
    edit=set_keys({"optimizer.swa": 0.25}),
    applies=_applies,
    after=("optimizer", "own_loop"),
    clashes=("schedule_free_adamw",),
    search={"optimizer.swa": Choice((0.0, 0.25, 0.5))},
)
