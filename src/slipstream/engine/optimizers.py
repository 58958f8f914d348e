"""From a plan to a Keras optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from slipstream.engine.clipping import clipping_settings, watch_clipping
from slipstream.errors import PlanError
from slipstream.ops.momentum import CycledAdam, CycledSGD
from slipstream.ops.optimizer_extras import Extras, extended
from slipstream.ops.optimizers import Adafactor, Lars, ScheduleFreeAdamW
from slipstream.plan import Plan


def build_optimizer(
    plan: Plan, model: Any, learning_rate: Any, extras: Extras | None = None
) -> Any:
    """Return the Keras optimizer that the plan names, for the model's variables.

    Args:
        plan: The plan.
        model: A built Keras model.
        learning_rate: A float, or a Keras schedule.
        extras: What goes around its rule; nothing if None.
    """
    settings = plan.optimizer
    shared: dict[str, Any] = {"learning_rate": learning_rate, **clipping_settings(plan)}
    if settings.ema > 0 or settings.swa > 0:
        # Keras tracks the average; the engine decides when it is looked at.
        shared |= {"use_ema": True, "ema_momentum": settings.ema or 0.99}
    if settings.weight_decay > 0:
        shared["weight_decay"] = settings.weight_decay
    rule = (_OWN_RULES if is_own(plan) else _RULES)[settings.name]
    if plan.schedule.momentum_low > 0:
        rule = CycledSGD if settings.name == "sgd" else CycledAdam
    values = {**shared, **_SETTINGS[settings.name](plan, model)}
    optimizer = (extended(rule) if extras else rule)(**values)
    if extras:
        optimizer.extras = extras
    watch_clipping(plan, model, optimizer)
    if settings.weight_decay > 0 and not settings.decay_norm_and_bias:
        vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer


def is_built_early(optimizer: Any) -> bool:
    """Whether it is to be built before the model is compiled with it.

    What keeps copies of the weights is not to be built within a trace. Keras 3.15.1's Nadam loses
    sight of a variable where Keras' loss scaling builds it: on JAX that variable then never moves.
    """
    early = (ScheduleFreeAdamW, keras.optimizers.Nadam)
    return isinstance(optimizer, early) or hasattr(optimizer, "extras")


def is_own(plan: Plan) -> bool:
    """Whether the optimizer's rule is ours and not Keras' own class."""
    # Keras' loop is there to be compared with: where Keras has a class, it runs that as it is.
    lacks = plan.optimizer.name not in _RULES
    return lacks or (plan.optimizer.name in _OWN_RULES and plan.runtime.loop == "slipstream")


def _sgd(plan: Plan, model: Any) -> dict[str, Any]:
    del model
    return {"momentum": plan.optimizer.momentum, "nesterov": plan.optimizer.nesterov}


def _adam(plan: Plan, model: Any) -> dict[str, Any]:
    return {**_betas(plan, model), "epsilon": plan.optimizer.epsilon}


def _rmsprop(plan: Plan, model: Any) -> dict[str, Any]:
    return {"momentum": plan.optimizer.momentum, **_adadelta(plan, model)}


def _adagrad(plan: Plan, model: Any) -> dict[str, Any]:
    del model
    return {"epsilon": plan.optimizer.epsilon}


def _adadelta(plan: Plan, model: Any) -> dict[str, Any]:
    return {"rho": plan.optimizer.rho, **_adagrad(plan, model)}


def _adafactor(plan: Plan, model: Any) -> dict[str, Any]:
    del model
    # How fast it learns is the schedule's affair; Keras bounds it by 1 / sqrt(step) even so.
    return {} if is_own(plan) else {"relative_step": False}


def _betas(plan: Plan, model: Any) -> dict[str, Any]:
    del model
    return {"beta_1": plan.optimizer.beta_1, "beta_2": plan.optimizer.beta_2}


def _lars(plan: Plan, model: Any) -> dict[str, Any]:
    del model
    return {"momentum": plan.optimizer.momentum, "trust": plan.optimizer.trust}


def _muon(plan: Plan, model: Any) -> dict[str, Any]:
    decay = plan.optimizer.weight_decay
    return {
        "adam_beta_1": plan.optimizer.beta_1,
        "adam_beta_2": plan.optimizer.beta_2,
        "epsilon": plan.optimizer.epsilon,
        "weight_decay": decay,
        "adam_weight_decay": decay,
        # Muon is for hidden matrices: what maps to the outputs is left to its AdamW.
        "exclude_layers": _output_paths(model),
    }


def _schedule_free(plan: Plan, model: Any) -> dict[str, Any]:
    if plan.optimizer.beta_1 == 0:
        raise PlanError(
            "optimizer.beta_1 above 0 with optimizer.name = 'schedule_free_adamw'",
            "0, which leaves the average out of what is trained",
            "Set optimizer.beta_1 = 0.9.",
            code="SLP-128",
        )
    return _adam(plan, model)


def _output_paths(model: Any) -> list[str]:
    layers = (tensor._keras_history.operation for tensor in getattr(model, "outputs", None) or [])
    return [f"(^|/){layer.name}/" for layer in layers]


_RULES: dict[str, type] = {
    "sgd": keras.optimizers.SGD,
    # Keras' AdamW is this very class; Adam takes decoupled decay too, and none at all.
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    "lion": keras.optimizers.Lion,
    "lamb": keras.optimizers.Lamb,
    "muon": keras.optimizers.Muon,
    "schedule_free_adamw": keras.optimizers.ScheduleFreeAdamW,
}
# What Keras lacks, or computes wrongly.
_OWN_RULES: dict[str, type] = {
    "adafactor": Adafactor,
    "lars": Lars,
    "schedule_free_adamw": ScheduleFreeAdamW,
}
_SETTINGS: dict[str, Callable[[Plan, Any], dict[str, Any]]] = {
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
    "schedule_free_adamw": _schedule_free,
}
