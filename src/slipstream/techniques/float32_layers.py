"""Hybrid precision."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if not plan.precision.policy.startswith("mixed"):
        return f"precision.policy = '{plan.precision.policy}' has no layers in 16 bits"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' measures nothing before it trains"
    return None


TECHNIQUE = Technique(
    name="float32_layers",
    title="Hybrid precision",
    summary=(
        "Under a mixed policy the layers that 16 bits are too few for stay in float32: those "
        "that the plan names, or with 'auto' those that a measurement finds."
    ),
    formula=(
        "a layer stays if with it the gradient of two batches overflows, or is further than a "
        "quarter of its norm from float32's:  |g16 - g32| > |g32| / 4"
    ),
    helps=(
        "Nets of which one layer leaves the range of float16 or cancels large sums: the others "
        "keep their speed."
    ),
    hurts=(
        "Nets that need none: 'auto' costs a few gradients before training, and on JAX compiles "
        "each of them. It sees the initial weights alone: what overflows later is skipped by "
        "loss scaling."
    ),
    cost="Two gradients before training where no layer has to stay; about log2(layers) for each.",
    reference=(
        "Micikevicius et al., Mixed precision training, 2018, arXiv:1710.03740; "
        "Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, 2002, "
        "doi:10.1109/32.988498"
    ),
    keys=("precision.float32_layers",),
    edit=set_keys({"precision.float32_layers": "auto"}),
    applies=_applies,
    after=("precision", "own_loop"),
)
