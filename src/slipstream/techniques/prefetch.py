"""Examples made ready ahead."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if plan.data.cache == "device":
        return "data.cache = 'device' lets the step gather its own examples"
    if plan.runtime.loop == "keras" and not task.streamed:
        return "runtime.loop = 'keras' gathers from arrays itself"
    return None


TECHNIQUE = Technique(
    name="prefetch",
    title="Prefetch",
    summary="Threads read, decode and gather the next examples while the step runs.",
    formula="wait of a step = max(0, time to load - time of the step), not their sum",
    helps="Examples from files, and augmentation on the host.",
    hurts="Arrays in memory with a short step: handing over to threads costs more than gathering.",
    cost="Memory for the examples of the calls that are made ready ahead.",
    reference=(
        "Murray, Simsa, Klimovic and Indyk, tf.data: a machine learning data processing "
        "framework, 2021, arXiv:2101.12127"
    ),
    keys=("data.prefetch",),
    edit=set_keys({"data.prefetch": 4}),
    applies=_applies,
    after=("own_loop",),
    clashes=("device_cache",),
    search={"data.prefetch": Choice((1, 2, 4))},
)
