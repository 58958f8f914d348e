"""Backend."""

from __future__ import annotations

from slipstream.plan import Plan, Value
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, always

_NATIVE_KERNELS = ("Conv", "LSTM", "GRU", "RNN", "Attention")


def _edit(plan: Plan, task: TaskFacts) -> Plan:
    # A first guess where nothing was measured; what the other backend cannot hold goes along.
    heavy = any(word in layer for layer in task.layers for word in _NATIVE_KERNELS)
    name = "torch" if heavy else "jax"
    changes: dict[str, Value] = {"runtime.backend": name, "runtime.jit": "auto"}
    if plan.precision.policy == "graph_bfloat16":
        changes["precision.policy"] = "mixed_bfloat16"
    if name == "torch" and plan.runtime.loop == "keras":
        changes["runtime.steps_per_execution"] = 1
    return plan.adapt(changes)


TECHNIQUE = Technique(
    name="backend",
    title="Backend",
    summary=(
        "Runs the same model on another framework under Keras: JAX for small dense nets, "
        "PyTorch where convolutions, recurrence or attention dominate."
    ),
    formula="none: the same updates, computed by another library",
    helps="Often: no framework is the fastest for every kind of net; the choice is best measured.",
    hurts=(
        "Where the net uses operations of one framework only, or the compile time outweighs a "
        "short run."
    ),
    cost="Compiling anew: seconds on JAX, little on PyTorch; other random numbers.",
    reference="Keras documentation, Keras 3: Keras for TensorFlow, JAX and PyTorch",
    keys=("runtime.backend",),
    edit=_edit,
    applies=always,
    search={"runtime.backend": Choice(("tensorflow", "jax", "torch"))},
)
