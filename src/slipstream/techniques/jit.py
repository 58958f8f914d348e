"""Compilation."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.backend == "torch":
        return "runtime.backend = 'torch' runs its kernels as they are"
    if plan.precision.policy == "graph_bfloat16":
        return "precision.policy = 'graph_bfloat16' works in the graph that XLA replaces"
    if plan.runtime.eager:
        return "runtime.eager compiles nothing"
    return None


TECHNIQUE = Technique(
    name="jit",
    title="Compilation",
    summary=(
        "Compiles the whole step with XLA, which fuses operations; or leaves it uncompiled, "
        "where that is faster."
    ),
    formula="none: the same updates, compiled as a whole",
    helps=(
        "Many small operations on GPUs, and on processors where XLA's kernels do well, as for "
        "dense nets."
    ),
    hurts=(
        "Convolutions with TensorFlow on processors, which lose their library's kernels; short "
        "runs, which do not earn the compile time back."
    ),
    cost="Seconds to compile, for each shape of batch.",
    reference=(
        "Frostig, Johnson and Leary, Compiling machine learning programs via high-level "
        "tracing, SysML 2018; OpenXLA documentation"
    ),
    keys=("runtime.jit",),
    edit=set_keys({"runtime.jit": "on"}),
    applies=_applies,
    after=("backend",),
    clashes=("eager", "graph_bfloat16"),
    search={"runtime.jit": Choice(("auto", "on", "off"))},
)
