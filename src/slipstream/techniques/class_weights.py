"""Weights of classes."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.plan.losses import BALANCED
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if task.kind != "classification":
        return f"there are no classes: it is {task.kind}"
    if len(task.output_shapes) > 1:
        return "there are several outputs, and an example has no one class"
    if any(len(shape) > 1 for shape in task.output_shapes.values()):
        return "an example has more than one label"
    if plan.loss.balance > 0:
        return "loss.balance weighs class 1 against class 0 already"
    return None


TECHNIQUE = Technique(
    name="class_weights",
    title="Weights of classes",
    summary=(
        "In training each example counts as much as its class does: balanced, such that all "
        "classes count alike, however few examples they have, or by weights that the plan writes "
        "out. They multiply the weights of the data. Validation stays the task's own."
    ),
    formula="loss = mean_i w[y[i]] * loss[i],  w[c] = N / (K * N[c])",
    helps="Classes of very unequal size, and a metric that hears the small ones (F1, recall).",
    hurts="Accuracy over all examples, calibrated probabilities, and classes with wrong labels.",
    cost="None.",
    reference="King and Zeng, Logistic regression in rare events data, 2001, Political Analysis 9",
    keys=("loss.class_weights",),
    edit=set_keys({"loss.class_weights": BALANCED}),
    applies=_applies,
)
