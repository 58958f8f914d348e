"""The part of a script that makes the optimizer, and what goes around its rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any

from slipstream.errors import PlanError
from slipstream.export._copied import copied
from slipstream.export._objects import literal
from slipstream.plan import Plan

# ops.clipping says why; it cannot be read from there without Keras.
_SMALLEST_NORM = 1e-3


def optimizer_definitions(plan: Plan) -> list[str]:
    """Return the classes and functions that Keras lacks and the plan's optimizer needs."""
    parts = []
    rule = _rule(plan)
    if rule.startswith("Cycled"):
        parts += [copied("slipstream.ops.momentum", name) for name in ("_momentum_at", rule)]
    elif not rule.startswith("keras."):
        parts.append(copied("slipstream.ops.optimizers", rule))
    if _watches_clipping(plan) or not rule.startswith(("keras.", "Cycled")):
        parts.append(copied("slipstream.ops.clipping", "dense_gradient"))
    if _watches_clipping(plan):
        parts += _clipping_definitions(plan)
    if _has_extras(plan):
        parts += [
            copied("slipstream.ops.optimizer_extras", name) for name in ("Extras", "extended")
        ]
    if _has_groups(plan):
        parts.append(copied("slipstream.ops.optimizer_extras", "rate_factors"))
    return parts


def looks_into_model(plan: Plan) -> bool:
    """Whether the optimizer is made for variables that have to be there."""
    settings = plan.optimizer
    decays = settings.weight_decay > 0 and not settings.decay_norm_and_bias
    names = settings.name in ("muon", "schedule_free_adamw")
    if plan.clipping.adaptive > 0:
        return True
    return decays or names or _has_groups(plan) or settings.lookahead > 0 or _scales_nadam(plan)


def optimizer_lines(plan: Plan, learning_rate: str) -> list[str]:
    """Return the lines that make the optimizer.

    Raises:
        PlanError: The plan contradicts itself, or Keras has no plain form of it.
    """
    _refuse(plan)
    settings = plan.optimizer
    arguments: dict[str, str] = {"learning_rate": learning_rate}
    arguments |= {key: repr(value) for key, value in _SETTINGS[settings.name](plan).items()}
    lines = []
    if settings.name == "muon":
        lines += [
            "# Muon is for hidden matrices: what maps to the outputs is left to its AdamW.",
            "outputs = [tensor._keras_history.operation.name for tensor in model.outputs]",
        ]
        arguments["exclude_layers"] = '[f"(^|/){name}/" for name in outputs]'
    elif settings.weight_decay or settings.name == "adamw":
        arguments["weight_decay"] = repr(settings.weight_decay)
    arguments |= _clipping(plan)
    if settings.ema or settings.swa:
        arguments |= {"use_ema": "True", "ema_momentum": repr(settings.ema or 0.99)}
    rule = f"extended({_rule(plan)})" if _has_extras(plan) else _rule(plan)
    lines.append(f"optimizer = {rule}(")
    lines += [f"    {key}={value}," for key, value in arguments.items()]
    lines.append(")")
    if plan.schedule.momentum_low:
        done = "[done:]" if plan.transfer.is_on else ""
        lines.append(f"optimizer.momenta = momentum_table(total_updates){done}")
    if _has_extras(plan):
        lines += _extras(plan)
    if _watches_clipping(plan):
        lines += _watch_lines(plan)
    if settings.weight_decay and not settings.decay_norm_and_bias:
        lines += [
            "# Biases and the scales of normalizations do not decay.",
            "optimizer.exclude_from_weight_decay(",
            "    var_list=[v for v in model.trainable_variables if len(v.shape) < 2]",
            ")",
        ]
    if settings.name == "schedule_free_adamw" or settings.lookahead:
        lines.append(
            "# Its averages start at the weights; on TensorFlow only where it is built before fit."
        )
    elif _scales_nadam(plan):
        lines.append("# Built by loss scaling, it would lose sight of one of its variables.")
    if settings.name == "schedule_free_adamw" or settings.lookahead or _scales_nadam(plan):
        lines.append("optimizer.build(model.trainable_variables)")
    return lines


def _refuse(plan: Plan) -> None:
    settings = plan.optimizer
    if settings.name == "schedule_free_adamw" and settings.beta_1 == 0:
        raise PlanError(
            "optimizer.beta_1 above 0 with optimizer.name = 'schedule_free_adamw'",
            "0, which leaves the average out of what is trained",
            "Set optimizer.beta_1 = 0.9.",
            code="SLP-128",
        )


def _extras(plan: Plan) -> list[str]:
    settings, groups = plan.optimizer, plan.groups
    arguments = {}
    lines = []
    if _has_groups(plan):
        values = f"{groups.layer_decay!r}, {literal(groups.pattern)}, {groups.rate!r}"
        arguments["factors"] = f"rate_factors(model, {values})"
    if settings.lookahead:
        arguments["lookahead"] = str(settings.lookahead)
        arguments["lookahead_share"] = repr(settings.lookahead_share)
    if settings.swa:
        epochs = plan.duration.epochs
        num_snapshots = max(1, math.floor(epochs * settings.swa + 1e-9))
        lines.append("updates_per_epoch = total_updates // EPOCHS")
        done = " - done" if plan.transfer.is_on else ""
        arguments["first_snapshot"] = f"{epochs - num_snapshots + 1} * updates_per_epoch{done}"
        arguments["snapshot_every"] = "updates_per_epoch"
    body = "\n".join(f"{key}={value}," for key, value in arguments.items())
    return [*lines, "optimizer.extras = Extras(", *indent(body, "    ").splitlines(), ")"]


def _scales_nadam(plan: Plan) -> bool:
    return plan.optimizer.name == "nadam" and plan.precision.policy == "mixed_float16"


def _has_groups(plan: Plan) -> bool:
    return plan.groups.layer_decay < 1 or plan.groups.rate != 1


def _has_extras(plan: Plan) -> bool:
    return _has_groups(plan) or plan.optimizer.lookahead > 0 or plan.optimizer.swa > 0


def _rule(plan: Plan) -> str:
    name = plan.optimizer.name
    if plan.schedule.momentum_low:
        return "CycledSGD" if name == "sgd" else "CycledAdam"
    if name == "lars":
        return "Lars"
    if name in ("adafactor", "schedule_free_adamw") and plan.runtime.loop == "slipstream":
        return _CLASSES[name]
    return f"keras.optimizers.{_CLASSES[name]}"


def _betas(plan: Plan) -> dict[str, Any]:
    return {"beta_1": plan.optimizer.beta_1, "beta_2": plan.optimizer.beta_2}


def _adam(plan: Plan) -> dict[str, Any]:
    return {**_betas(plan), "epsilon": plan.optimizer.epsilon}


def _sgd(plan: Plan) -> dict[str, Any]:
    settings = {"momentum": plan.optimizer.momentum, "nesterov": plan.optimizer.nesterov}
    return {key: value for key, value in settings.items() if value}


def _rmsprop(plan: Plan) -> dict[str, Any]:
    momentum = {"momentum": plan.optimizer.momentum} if plan.optimizer.momentum else {}
    return {**_adadelta(plan), **momentum}


def _adagrad(plan: Plan) -> dict[str, Any]:
    return {"epsilon": plan.optimizer.epsilon}


def _adadelta(plan: Plan) -> dict[str, Any]:
    return {"rho": plan.optimizer.rho, "epsilon": plan.optimizer.epsilon}


def _adafactor(plan: Plan) -> dict[str, Any]:
    return {} if plan.runtime.loop == "slipstream" else {"relative_step": False}


def _lars(plan: Plan) -> dict[str, Any]:
    return {"momentum": plan.optimizer.momentum, "trust": plan.optimizer.trust}


def _muon(plan: Plan) -> dict[str, Any]:
    return {
        "adam_beta_1": plan.optimizer.beta_1,
        "adam_beta_2": plan.optimizer.beta_2,
        "epsilon": plan.optimizer.epsilon,
        "weight_decay": plan.optimizer.weight_decay,
        "adam_weight_decay": plan.optimizer.weight_decay,
    }


_CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "nadam": "Nadam",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "lion": "Lion",
    "lamb": "Lamb",
    "muon": "Muon",
    "schedule_free_adamw": "ScheduleFreeAdamW",
}
_SETTINGS: Mapping[str, Callable[[Plan], dict[str, Any]]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "nadam": _adam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adafactor": _adafactor,
    "lion": _betas,
    "lamb": _adam,
    "lars": _lars,
    "muon": _muon,
    "schedule_free_adamw": _adam,
}


def _clipping(plan: Plan) -> dict[str, str]:
    """Return the bounds on the gradient that Keras' optimizers take."""
    clipping = plan.clipping
    arguments = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}
    bounds = {argument: getattr(clipping, key) for key, argument in arguments.items()}
    return {argument: repr(bound) for argument, bound in bounds.items() if bound}


def _watches_clipping(plan: Plan) -> bool:
    """Whether the gradient is bounded in a way that Keras' optimizers have not."""
    return plan.clipping.adaptive > 0 or plan.clipping.quantile > 0


def _clipping_definitions(plan: Plan) -> list[str]:
    module = "slipstream.ops.clipping"
    parts = [f"SMALLEST_NORM = {_SMALLEST_NORM!r}"]
    parts += [copied(module, name) for name in ("global_norm", "_unit_factors", "unit_axes")]
    parts += [copied(module, "ClipWatch").replace("parts.Clipping", "Any")]
    if plan.clipping.adaptive:
        names = ("_output_layers", "_last_with_weights")
        parts += [copied("slipstream.engine.clipping", name) for name in names]
    return parts


def _watch_lines(plan: Plan) -> list[str]:
    bounds = ", ".join(f"{key}={value!r}" for key, value in plan.clipping)
    lines = []
    if plan.clipping.adaptive:
        lines += [
            "# The layers that make the outputs are spared.",
            "spared = [v for layer in _output_layers(model) for v in layer.trainable_variables]",
        ]
    spared = "spared" if plan.clipping.adaptive else "()"
    return [
        *lines,
        "bounds = SimpleNamespace(",
        f"    {bounds}",
        ")",
        f"ClipWatch(optimizer, bounds, {spared})",
    ]
