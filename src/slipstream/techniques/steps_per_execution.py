"""Several steps per execution."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.loop == "keras" and plan.runtime.backend == "torch":
        return "runtime.loop = 'keras' with runtime.backend = 'torch' has one step per execution"
    if plan.runtime.eager:
        return "runtime.eager makes one operation after the other"
    return None


TECHNIQUE = Technique(
    name="steps_per_execution",
    title="Several steps per execution",
    summary="One call into the backend runs several updates, so that Python is asked less often.",
    formula="calls per epoch = ceiling(updates per epoch / steps)",
    helps="Small nets, whose step is shorter than the call around it.",
    hurts="Large nets, where it changes nothing; progress is seen less often.",
    cost="None; callbacks and stopping are looked at once in so many updates.",
    reference="Keras documentation, Model.compile(steps_per_execution)",
    keys=("runtime.steps_per_execution",),
    edit=set_keys({"runtime.steps_per_execution": 16}),
    applies=_applies,
    after=("backend", "own_loop"),
    search={"runtime.steps_per_execution": Choice((1, 4, 16, 32))},
)
