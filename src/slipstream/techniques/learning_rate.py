"""Tuned learning rate."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import OPTIMIZER_KEYS, Range, Technique, always, any_differs

# Sensible where nothing was measured: what each optimizer's authors or Keras recommend.
_USUAL = {
    "sgd": 0.05,
    "adam": 1e-3,
    "adamw": 1e-3,
    "rmsprop": 1e-3,
    "adagrad": 1e-2,
    "nadam": 1e-3,
    "adadelta": 1.0,
    "adafactor": 1e-2,
    "lion": 2e-4,
    "lamb": 5e-3,
    "lars": 0.05,
    "muon": 2e-3,
    "schedule_free_adamw": 2.5e-3,
}


def _edit(plan: Plan, task: TaskFacts) -> Plan:  # noqa: ARG001
    return plan.edit({"schedule.peak": _USUAL[plan.optimizer.name]})


def _found(plan: Plan, baseline: Plan) -> bool:
    # A rate means nothing apart from its optimizer: with another one, it belongs to that choice.
    same_optimizer = not any_differs(plan, baseline, OPTIMIZER_KEYS)
    return same_optimizer and any_differs(plan, baseline, ("schedule.peak",))


TECHNIQUE = Technique(
    name="learning_rate",
    title="Tuned learning rate",
    summary="Sets the highest learning rate, the one number that decides most about a training.",
    formula="rate at update t = peak * shape(t)",
    helps="Always worth tuning first, for every optimizer, batch size and shape anew.",
    hurts="Too high and the loss jumps or turns infinite; too low and the time is wasted.",
    cost="None for a run; finding it takes several runs, or a range test.",
    reference="Smith, Cyclical learning rates for training neural networks, 2017, arXiv:1506.01186",
    keys=("schedule.peak",),
    edit=_edit,
    applies=always,
    after=("optimizer",),
    search={"schedule.peak": Range(1e-5, 2.0, log=True)},
    found=_found,
)
