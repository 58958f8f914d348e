"""DropConnect."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if not any(name == "Dense" or "Conv" in name for name in task.layers):
        return "the model has neither dense nor convolutional layers"
    return None


TECHNIQUE = Technique(
    name="drop_connect",
    title="DropConnect",
    summary=(
        "While training, single weights of dense and convolutional kernels are set to zero, drawn "
        "anew in each step for the whole batch; layers that make the outputs keep theirs. The "
        "layers stay the model's own: in inference and in files nothing has changed."
    ),
    formula="y = layer(x) with w * keep / (1 - rate),  keep drawn for each weight",
    helps="Wide dense layers that learn the training set by heart.",
    hurts="Nets that underfit, small batches and short runs: one draw serves all examples.",
    cost=(
        "A draw for each weight in each step. On PyTorch these layers run through Keras' own "
        "call in place of native kernels."
    ),
    reference=(
        "Wan et al., Regularization of neural networks using DropConnect, ICML 2013, which draws "
        "for each example and averages otherwise in inference"
    ),
    keys=("regularization.drop_connect",),
    edit=set_keys({"regularization.drop_connect": 0.2}),
    applies=_applies,
    search={"regularization.drop_connect": Choice((0.0, 0.1, 0.2, 0.5))},
)
