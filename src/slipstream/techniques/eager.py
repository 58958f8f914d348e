"""One operation at a time."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.precision.policy == "graph_bfloat16":
        return "precision.policy = 'graph_bfloat16' rewrites a graph, and there would be none"
    return None


TECHNIQUE = Technique(
    name="eager",
    title="One operation at a time",
    summary=(
        "Runs each operation by itself, as Python comes to it: nothing is compiled, no native "
        "kernels, one update a call. It is there for finding errors, not for speed."
    ),
    formula="none: the same updates, one operation after the other",
    helps="Stepping through a model with a debugger; finding the layer that makes a NaN.",
    hurts="Speed, on TensorFlow and JAX many times over.",
    cost="Time. Memory for values that a compiler would not have kept.",
    reference="Keras documentation, Model.compile, run_eagerly",
    keys=("runtime.eager",),
    edit=set_keys({"runtime.eager": True, "runtime.jit": "auto", "runtime.steps_per_execution": 1}),
    applies=_applies,
    clashes=("graph_bfloat16", "jit", "native_kernels", "steps_per_execution"),
    after=("backend",),
)
