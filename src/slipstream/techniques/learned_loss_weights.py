"""Weights of several losses that are learned."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if len(task.output_shapes) < 2:
        return "there is one output, and one loss"
    return None


TECHNIQUE = Technique(
    name="learned_loss_weights",
    title="Learned weights of several losses",
    summary=(
        "The loss of each output is divided by a variance that is learned along with the model, so "
        "that outputs of different size and noise are heard alike. It also stands for weights "
        "that the plan writes out. The task's own loss still judges."
    ),
    formula="loss = sum_i exp(-s[i]) * loss[i] + s[i] / 2",
    helps="Several outputs whose losses differ by orders of magnitude, without weights known.",
    hurts="Where one output is what counts: give it the weight.",
    cost="One number for each output.",
    reference=(
        "Kendall, Gal and Cipolla, Multi-task learning using uncertainty to weigh losses for scene "
        "geometry and semantics, 2018, arXiv:1705.07115"
    ),
    keys=("loss.weights",),
    edit=set_keys({"loss.weights": "learned"}),
    applies=_applies,
)
