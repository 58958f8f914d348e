"""From a plan to a Keras optimizer."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.engine.clipping import clipping_settings, watch_clipping
from slipstream.errors import PlanError
from slipstream.ops.momentum import CycledAdam, CycledSGD
from slipstream.plan import Plan


def build_optimizer(plan: Plan, model: Any, learning_rate: Any) -> Any:
    """Return the Keras optimizer that the plan names, built for the model's variables.

    Args:
        plan: The plan.
        model: A built Keras model.
        learning_rate: A float, or a Keras schedule.
    """
    settings = plan.optimizer
    shared: dict[str, Any] = {"learning_rate": learning_rate, **clipping_settings(plan)}
    if settings.ema > 0:
        # Keras tracks the average; the engine decides when it is looked at.
        shared |= {"use_ema": True, "ema_momentum": settings.ema}
    if settings.weight_decay > 0:
        shared["weight_decay"] = settings.weight_decay
    optimizer = _CLASSES[settings.name](plan, model, shared)
    watch_clipping(plan, model, optimizer)
    if settings.weight_decay > 0 and not settings.decay_norm_and_bias:
        vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer


def _sgd(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    del model
    rule = CycledSGD if plan.schedule.momentum_low > 0 else keras.optimizers.SGD
    return rule(momentum=plan.optimizer.momentum, nesterov=plan.optimizer.nesterov, **shared)


def _adam(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    # Keras' AdamW is this very class; Adam takes decoupled decay too, and none at all.
    del model
    rule = CycledAdam if plan.schedule.momentum_low > 0 else keras.optimizers.Adam
    return rule(**_betas(plan), epsilon=plan.optimizer.epsilon, **shared)


def _rmsprop(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    del model
    return keras.optimizers.RMSprop(
        rho=plan.optimizer.rho,
        momentum=plan.optimizer.momentum,
        epsilon=plan.optimizer.epsilon,
        **shared,
    )


def _adagrad(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    del model
    return keras.optimizers.Adagrad(epsilon=plan.optimizer.epsilon, **shared)


def _lion(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    del model
    return keras.optimizers.Lion(**_betas(plan), **shared)


def _muon(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    decay = shared.pop("weight_decay", 0.0)
    return keras.optimizers.Muon(
        adam_beta_1=plan.optimizer.beta_1,
        adam_beta_2=plan.optimizer.beta_2,
        epsilon=plan.optimizer.epsilon,
        weight_decay=decay,
        adam_weight_decay=decay,
        # Muon is for hidden matrices: what maps to the outputs is left to its AdamW.
        exclude_layers=_output_paths(model),
        **shared,
    )


def _schedule_free(plan: Plan, model: Any, shared: dict[str, Any]) -> Any:
    del model
    if plan.optimizer.beta_1 == 0:
        raise PlanError(
            "optimizer.beta_1 above 0 with optimizer.name = 'schedule_free_adamw'",
            "0, which leaves the average out of what is trained",
            "Set optimizer.beta_1 = 0.9.",
        )
    return keras.optimizers.ScheduleFreeAdamW(
        **_betas(plan), epsilon=plan.optimizer.epsilon, **shared
    )


def _betas(plan: Plan) -> dict[str, float]:
    return {"beta_1": plan.optimizer.beta_1, "beta_2": plan.optimizer.beta_2}


def _output_paths(model: Any) -> list[str]:
    layers = (tensor._keras_history.operation for tensor in getattr(model, "outputs", None) or [])
    return [f"(^|/){layer.name}/" for layer in layers]


_CLASSES = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "lion": _lion,
    "muon": _muon,
    "schedule_free_adamw": _schedule_free,
}
