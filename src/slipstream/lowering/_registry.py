"""The rules, one to a file of this folder, and finding the one for a layer."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

import keras

import slipstream.lowering
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run


@cache
def all_rules() -> dict[type, Rule]:
    """Return the rule of each layer class that has one."""
    rules: dict[type, Rule] = {}
    for module in pkgutil.iter_modules(slipstream.lowering.__path__):
        if not module.name.startswith("_"):
            found = importlib.import_module(f"slipstream.lowering.{module.name}")
            for rule in getattr(found, "RULES", ()):
                rules |= dict.fromkeys(rule.layers, rule)
    return rules


def lower_layer(layer: Any, call: Call) -> Run:
    """Return what runs in place of a layer; or raise NotLoweredError with the reason."""
    rule = all_rules().get(type(layer))
    if rule is None:
        is_layer = isinstance(layer, keras.layers.Layer)
        raise NotLoweredError(
            "no rule for this class" if is_layer else "an operation on variables, not on tensors"
        )
    _refuse_extras(layer)
    try:
        return rule.lower(layer, call)
    except AttributeError as error:
        raise NotLoweredError(f"this version of Keras has other attributes: {error}") from error


def _refuse_extras(layer: Any) -> None:
    """Refuse what any Keras layer may carry beside its own computation."""
    if getattr(layer, "activity_regularizer", None) is not None:
        raise NotLoweredError("it has an activity regularizer")
    if getattr(layer, "quantization_mode", None) is not None:
        raise NotLoweredError("it is quantized")
    if getattr(layer, "lora_enabled", False):
        raise NotLoweredError("it has low-rank adapters")
    if getattr(layer, "_remat_mode", None) is not None:
        raise NotLoweredError("it is to be rematerialized")
    if "call" in vars(layer):
        why = getattr(vars(layer)["call"], "why", "its call was replaced")
        raise NotLoweredError(why)
