"""Dropped remainder."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' keeps the last batch"
    if plan.batch.size > task.num_train:
        return f"the only batch is the remainder: {task.num_train} examples"
    if task.num_train % plan.batch.size == 0:
        return f"batches of {plan.batch.size} divide {task.num_train} examples without a rest"
    return None


TECHNIQUE = Technique(
    name="drop_remainder",
    title="Dropped remainder",
    summary=(
        "An epoch's last, smaller batch is left out; the order is new in every epoch, so each "
        "example has its turn."
    ),
    formula="updates per epoch = whole(N / size) in place of ceiling(N / size)",
    helps="Compiled steps: all batches have one shape, so the step is compiled once.",
    hurts="Small training sets, where it leaves out a large share of every epoch.",
    cost="The last examples of an epoch teach nothing in it.",
    reference=(
        "OpenXLA documentation, static shapes; TensorFlow documentation, "
        "tf.data.Dataset.batch(drop_remainder)"
    ),
    keys=("batch.remainder",),
    edit=set_keys({"batch.remainder": "drop"}),
    applies=_applies,
    after=("batch_size", "own_loop"),
    search={"batch.remainder": Choice(("keep", "drop"))},
)
