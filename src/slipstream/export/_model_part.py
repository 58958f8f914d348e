"""The part of a script that builds, changes and compiles the model as a plan says."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent

from slipstream.export._architecture_part import (
    freeze_lines,
    rewrite_definitions,
    rewrite_lines,
    rewrites_model,
)
from slipstream.export._drop_part import drop_definitions, drop_lines, drops
from slipstream.export._learned_part import (
    learned_definitions,
    learned_loss_lines,
    learns_weights,
    variance_lines,
)
from slipstream.export._loss_part import (
    loss_definitions,
    loss_source,
    loss_weights_source,
    metrics_source,
)
from slipstream.export._optimizer_part import (
    looks_into_model,
    optimizer_definitions,
    optimizer_lines,
)
from slipstream.export._penalty_part import penalises, penalty_source
from slipstream.export._phases_part import base_lines
from slipstream.export._precision_part import format_lines, policy_lines, scaling_lines
from slipstream.export._rates_part import has_schedule, rate_source
from slipstream.export._sharp_part import sharp_definitions, sharp_lines
from slipstream.plan import Plan
from slipstream.task import Task


def model_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the functions that `build` of the script needs."""
    return [
        *rewrite_definitions(plan),
        *drop_definitions(plan),
        *optimizer_definitions(plan),
        *loss_definitions(task, plan),
        *learned_definitions(plan),
        *sharp_definitions(plan),
    ]


def build_function(
    task: Task, plan: Plan, expressions: Mapping[str, str], *, loads_model: bool
) -> str:
    """Return the script's function `build`; with two phases `compile_model`, too."""
    lines = ["keras.utils.set_random_seed(SEED)", *format_lines(plan)]
    lines.append(f"model = {_called(expressions['model'])}")
    if _looks_into_model(plan):
        lines += ["if not model.built:", "    model(keras.tree.map_structure(lambda a: a[:2], x))"]
    lines += rewrite_lines(plan)
    lines += policy_lines(plan, loads_model=loads_model)
    lines += drop_lines(plan)
    if plan.architecture.batch_norm_momentum != "as_model":
        lines += [
            "for layer in model._flatten_layers():  # a shorter window for the moving averages",
            "    if isinstance(layer, keras.layers.BatchNormalization):",
            f"        layer.momentum = {plan.architecture.batch_norm_momentum}",
        ]
    lines += freeze_lines(plan)
    if penalises(plan) and plan.runtime.loop == "keras":
        lines += [
            "for variable in model.trainable_variables:",
            "    if variable.name in KERNELS and variable.regularizer is None:",
            f"        variable.regularizer = {penalty_source(plan)}",
        ]
    lines += base_lines(plan)
    lines += variance_lines(task, plan, expressions)
    compiling = optimizer_lines(plan, rate_source(plan))
    compiling += scaling_lines(plan, loads_model=loads_model)
    compiling += _compile(task, plan, expressions)
    if plan.transfer.is_on:
        return _two_functions([*lines, "return model, base"], compiling)
    lines += [*compiling, "return model"]
    arguments = "total_updates: int, x" if _counts_updates(plan) else "x"
    if not _looks_into_model(plan):
        arguments = arguments.removesuffix("x").removesuffix(", ")
    head = f'def build({arguments}) -> keras.Model:\n    """Return the model, compiled."""\n'
    return head + indent("\n".join(lines), "    ")


def _two_functions(building: list[str], compiling: list[str]) -> str:
    return "\n".join(
        [
            "def build(x):",
            '    """Return the model, and the base in it, which is frozen."""',
            indent("\n".join(building), "    "),
            *("", ""),
            "def compile_model(model: keras.Model, total_updates: int, done: int) -> None:",
            '    """Compile the model for the updates after the first ones, which are done."""',
            indent("\n".join(compiling), "    "),
        ]
    )


def build_calls(plan: Plan) -> list[str]:
    """Return how the script builds and compiles its model, one a line."""
    if plan.transfer.is_on:
        calls = ["model, base = build(train[0])", "compile_model(model, updates * EPOCHS, 0)"]
    else:
        arguments = ["updates * EPOCHS"] if _counts_updates(plan) else []
        arguments += ["train[0]"] if _looks_into_model(plan) else []
        calls = [f"model = build({', '.join(arguments)})"]
    return calls


def _counts_updates(plan: Plan) -> bool:
    return has_schedule(plan) or plan.optimizer.swa > 0


def _called(expression: str) -> str:
    return f"{expression}()" if expression.isidentifier() else f"({expression})()"


def _looks_into_model(plan: Plan) -> bool:
    """Whether something is done with the model's layers or variables before training."""
    return (
        plan.precision.policy.startswith("mixed")
        or drops(plan)
        or plan.architecture.batch_norm_momentum != "as_model"
        or rewrites_model(plan)
        or learns_weights(plan)
        or (penalises(plan) and plan.runtime.loop == "keras")
        or looks_into_model(plan)
    )


def _compile(task: Task, plan: Plan, expressions: Mapping[str, str]) -> list[str]:
    loss = loss_source(task, plan, expressions)
    first = [f"trained_loss = {loss}"] if learns_weights(plan) else []
    arguments = {"optimizer": "optimizer", "loss": "trained_loss" if first else loss}
    weights = loss_weights_source(task, plan)
    if weights:
        arguments["loss_weights"] = weights
    elif "loss_weights" in expressions:
        arguments["loss_weights"] = expressions["loss_weights"]
    metrics = metrics_source(task, plan, expressions)
    if metrics:
        arguments["metrics"] = metrics
    if plan.runtime.jit != "auto":
        arguments["jit_compile"] = str(plan.runtime.jit == "on")
    if plan.runtime.steps_per_execution > 1 and plan.runtime.backend != "torch":
        arguments["steps_per_execution"] = str(plan.runtime.steps_per_execution)
    if plan.runtime.eager:
        arguments["run_eagerly"] = "True"
    compiled = [f"    {key}={value}," for key, value in arguments.items()]
    return [
        *first,
        *sharp_lines(plan),
        *("model.compile(", *compiled, ")"),
        *learned_loss_lines(plan),
    ]
