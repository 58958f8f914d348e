"""bfloat16 by graph rewrite."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, found_value, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.backend != "tensorflow":
        return f"runtime.backend = '{plan.runtime.backend}' has no such rewrite"
    if plan.runtime.eager:
        return "runtime.eager makes no graph"
    return None


TECHNIQUE = Technique(
    name="graph_bfloat16",
    title="bfloat16 by graph rewrite",
    summary=(
        "TensorFlow itself turns the products and convolutions of its graph to bfloat16 and "
        "leaves the rest."
    ),
    formula="product = sum of bfloat16(a) * bfloat16(b), summed in float32",
    helps=(
        "TensorFlow on processors with bfloat16 units: it converts less to and fro than a "
        "mixed policy."
    ),
    hurts="Every other backend, and compilation with XLA: there it does nothing.",
    cost="None in memory; rounding of products to 8 bits of precision.",
    reference="TensorFlow documentation, tf.config.optimizer.set_experimental_options",
    keys=("precision.policy",),
    edit=set_keys({"precision.policy": "graph_bfloat16", "runtime.jit": "off"}),
    applies=_applies,
    after=("backend",),
    clashes=("eager", "jit"),
    search={"precision.policy": Choice(("float32", "graph_bfloat16"))},
    one_of="precision",
    found=found_value("precision.policy", "graph_bfloat16"),
)
