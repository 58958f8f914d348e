"""Native kernels in place of Keras' own calls."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if plan.runtime.backend != "torch":
        return f"runtime.backend = '{plan.runtime.backend}' compiles the step as a whole"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' calls the layers itself"
    if plan.runtime.eager:
        return "runtime.eager steps through Keras' own calls"
    return None


TECHNIQUE = Technique(
    name="native_kernels",
    title="Native kernels",
    summary=(
        "Layers, losses, metrics and optimizers that are recognised run through PyTorch's own "
        "fused kernels, on the same variables; the rest stays Keras' own."
    ),
    formula="none: the same updates, by other kernels",
    helps=(
        "Recurrent layers, attention, normalization and small nets with PyTorch, where Keras' "
        "dispatch and generic operations are a good part of the step."
    ),
    hurts=(
        "Nothing measured so far; results differ from Keras' own by rounding, and dropout masks "
        "are other ones."
    ),
    cost="None; layers that are not recognised run as before.",
    reference="PyTorch documentation, torch.nn.functional; the page on the architecture",
    keys=("runtime.lowering",),
    edit=set_keys({"runtime.lowering": True}),
    applies=_applies,
    after=("backend", "own_loop"),
    search={"runtime.lowering": Choice((True, False))},
)
