"""BatchNormalization's statistics for averaged weights."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    averages = plan.optimizer.ema > 0 or plan.optimizer.swa > 0
    if not averages and plan.optimizer.name != "schedule_free_adamw":
        return "no weights are averaged"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' leaves BatchNormalization as it is"
    if "BatchNormalization" not in task.layers:
        return "the model has no BatchNormalization"
    return None


TECHNIQUE = Technique(
    name="norm_batches",
    title="Statistics for averaged weights",
    summary=(
        "Computes BatchNormalization's means and variances anew, from a number of training "
        "batches, whenever averaged weights are judged or kept."
    ),
    formula="statistics = mean over n batches of each batch's own, with the averaged weights",
    helps="SWA, EMA and Schedule-Free AdamW on nets with BatchNormalization.",
    hurts="Many evaluations of large nets: each costs n forward passes more.",
    cost="So many forward passes over training batches at each evaluation.",
    reference=(
        "Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018, "
        "arXiv:1803.05407"
    ),
    keys=("optimizer.norm_batches",),
    edit=set_keys({"optimizer.norm_batches": 100}),
    applies=_applies,
    after=("optimizer", "ema", "swa", "own_loop"),
    search={"optimizer.norm_batches": Choice((0, 32, 100))},
)
