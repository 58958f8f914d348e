"""Sharpness-aware minimisation."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' takes one gradient an update"
    return None


TECHNIQUE = Technique(
    name="sam",
    title="Sharpness-aware minimisation",
    summary=(
        "Takes the gradient where the loss is worst within a small radius around the weights, so "
        "that training ends in flat valleys."
    ),
    formula="e = radius * g(w) / ||g(w)||;  w follows the gradient g(w + e)",
    helps="Long trainings that overfit: it often gains in quality where nothing else does.",
    hurts=(
        "The time: every update computes two gradients. With accumulation the radius is that of "
        "the whole update's gradient; the second pass draws the first one's random numbers and "
        "leaves BatchNormalization's averages alone."
    ),
    cost="A second forward and backward pass: each update takes about twice as long.",
    reference=(
        "Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization, 2021, arXiv:2010.01412"
    ),
    keys=("optimizer.sam",),
    edit=set_keys({"optimizer.sam": 0.05}),
    applies=_applies,
    after=("optimizer", "own_loop"),
    search={"optimizer.sam": Choice((0.0, 0.02, 0.05, 0.1))},
)
