"""The part of a script that learns the weights of several losses."""

from __future__ import annotations

from collections.abc import Mapping

from slipstream.errors import PlanError
from slipstream.export._copied import copied
from slipstream.export._loss_part import plain_loss
from slipstream.plan import Plan
from slipstream.plan.losses import LEARNED
from slipstream.task import Task


def learns_weights(plan: Plan) -> bool:
    """Whether the weights of the losses are learned."""
    return plan.loss.weights == LEARNED


def learned_definitions(plan: Plan) -> list[str]:
    """Return the loss whose weights are learned, and the layer that holds them."""
    if not learns_weights(plan):
        return []
    names = ("LogVariances", "UncertaintyWeightedLoss")
    return [copied("slipstream.ops.loss_weights", name) for name in names]


def learned_imports(plan: Plan) -> set[str]:
    """Return the imports that these need."""
    line = "from keras.src.trainers.compile_utils import CompileLoss"
    return {line} if learns_weights(plan) else set()


def variance_lines(task: Task, plan: Plan, expressions: Mapping[str, str]) -> list[str]:
    """Return the lines that give the model the variables that are learned."""
    if not learns_weights(plan):
        return []
    names = "model.output_names"
    loss = plain_loss(task.loss)
    if isinstance(loss, list):
        places = [place for place, part in enumerate(loss) if part is not None]
        judged = f"[{names}[place] for place in {places!r}]"
    elif isinstance(loss, Mapping) and "class_name" not in loss:
        found = [name for name, part in loss.items() if part is not None]
        judged = f"[name for name in {names} if name in {found!r}]"
    else:
        raise PlanError(
            "a task with a loss for each of several outputs, for loss.weights = 'learned'",
            "one loss",
            "Weights are for the losses of several outputs: set loss.weights = 'as_task'.",
            code="SLP-804",
        )
    weights = expressions.get("loss_weights") if task.loss_weights is not None else None
    lines = [f"first_weights = {weights or {}}"]
    if weights and not isinstance(task.loss_weights, Mapping):
        lines.append(f"first_weights = dict(zip({names}, first_weights, strict=True))")
    return [
        *lines,
        "# Where the weights of the losses begin; they are learned along with the model.",
        f"start = [-np.log(first_weights.get(name, 1.0)) for name in {judged}]",
        "locked = model._tracker.locked",
        "model._tracker.unlock()",
        "model.log_variances = LogVariances(start)",
        "if locked:",
        "    model._tracker.lock()",
    ]


def first_look_lines(plan: Plan) -> list[str]:
    """Return the lines after the model is compiled that show it what examples are like."""
    if not learns_weights(plan):
        return []
    few = "keras.tree.map_structure(lambda array: array[:2], tuple(train))"
    return [
        "# The losses of the outputs take their weights once they are built.",
        f"model._symbolic_build(data_batch={few})",
    ]


def learned_loss_lines(plan: Plan) -> list[str]:
    """Return the lines that weigh the losses, after the model is compiled with `trained_loss`."""
    if not learns_weights(plan):
        return []
    return [
        "model._compile_loss = UncertaintyWeightedLoss(",
        "    trained_loss, model.log_variances, model.output_names",
        ")",
    ]
