"""Linear warm-up."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, any_differs, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.schedule.name == "one_cycle":
        return "schedule.name = 'one_cycle' has a rise of its own"
    return None


def _found(plan: Plan, baseline: Plan) -> bool:
    # One-cycle's rise is not a warm-up in front of it: there the key is its own.
    own = plan.schedule.name != "one_cycle"
    return own and any_differs(plan, baseline, ("schedule.warmup",))


TECHNIQUE = Technique(
    name="warmup",
    title="Linear warm-up",
    summary=(
        "The learning rate climbs in a straight line to its peak over the first part of the run."
    ),
    formula="rate = peak * (t + 1) / (W + 1) for t < W = round(warmup * T)",
    helps=(
        "Large rates, large batches, adaptive optimizers and Transformers, whose first steps "
        "are the least certain."
    ),
    hurts="Very short runs, which it robs of full-size steps.",
    cost="None: the rates of all updates are one array, made before the first.",
    reference=(
        "Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, "
        "arXiv:1706.02677"
    ),
    keys=("schedule.warmup",),
    edit=set_keys({"schedule.warmup": 0.05}),
    applies=_applies,
    after=("optimizer", "schedule"),
    clashes=("one_cycle",),
    search={"schedule.warmup": Choice((0.0, 0.02, 0.05, 0.1, 0.2))},
    found=_found,
)
