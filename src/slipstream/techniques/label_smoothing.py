"""Label smoothing."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if task.kind != "classification":
        return f"there are no classes to smooth over: it is {task.kind}"
    if not plan.loss.has_cross_entropy:
        return f"loss.name = '{plan.loss.name}' has no labels to smooth"
    return None


TECHNIQUE = Technique(
    name="label_smoothing",
    title="Label smoothing",
    summary=(
        "A share of each label is spread evenly over all classes, so that the net is not "
        "driven to certainty."
    ),
    formula="label = (1 - share) * one_hot + share / num_classes",
    helps="Classification with many classes or some wrong labels.",
    hurts=(
        "Where the loss itself is watched: it no longer goes to zero; and distillation from "
        "the net."
    ),
    cost="None to speak of: the loss is a small part of a step.",
    reference=(
        "Szegedy et al., Rethinking the Inception architecture for computer vision, 2016, "
        "arXiv:1512.00567; Mueller, Kornblith and Hinton, 2019, arXiv:1906.02629"
    ),
    keys=("regularization.label_smoothing",),
    edit=set_keys({"regularization.label_smoothing": 0.1}),
    applies=_applies,
    search={"regularization.label_smoothing": Choice((0.0, 0.05, 0.1))},
)
