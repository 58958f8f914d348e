"""Keras objects that a task holds as names or as serialised values, written as source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PLACES = {"loss": "keras.losses", "metrics": "keras.metrics"}
# Classes that Keras lacks: their names as Keras serialises them, and those of their instances.
OWN_PREFIX = "slipstream>"
OWN = {
    "loss": {
        "asymmetric_mean_squared_error": "AsymmetricMeanSquaredError()",
        "sparse_focal_crossentropy": "SparseFocalCrossentropy()",
    },
    "metrics": {
        "confusion_matrix": "ConfusionMatrix()",
        "ece": 'ExpectedCalibrationError(name="ece")',
        "expected_calibration_error": "ExpectedCalibrationError()",
        "f1": "F1()",
        "f1_macro": 'F1("macro", name="f1_macro")',
        "f1_micro": 'F1("micro", name="f1_micro")',
    },
}


def is_plain(value: Any) -> bool:
    """Whether a value is made of names, numbers and serialised Keras objects alone."""
    if isinstance(value, Mapping):
        return all(is_plain(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(is_plain(part) for part in value)
    return value is None or isinstance(value, str | int | float | bool)


def to_source(value: Any, kind: str, **extra: Any) -> str:
    """Write a plain loss or metric as source.

    Args:
        value: A name, a number, a serialised Keras object, or a nest of them.
        kind: "loss" or "metrics".
        extra: Further arguments of the serialised objects.

    Example:
        >>> loss = {"class_name": "Huber", "config": {"delta": 2.0}}
        >>> to_source({"depth": loss, "name": "mse"}, "loss")
        '{"depth": keras.losses.Huber(delta=2.0), "name": "mse"}'
    """
    if isinstance(value, Mapping) and "class_name" in value:
        settings = {**value.get("config", {}), **extra}
        if any(isinstance(part, Mapping) for part in settings.values()):
            whole = {**value, "config": settings}
            return f"{PLACES[kind]}.get({literal(whole)})"
        arguments = ", ".join(f"{key}={literal(part)}" for key, part in settings.items())
        name = str(value["class_name"])
        is_own = name.startswith(OWN_PREFIX)
        place = name.removeprefix(OWN_PREFIX) if is_own else f"{PLACES[kind]}.{name}"
        return f"{place}({arguments})"
    if isinstance(value, Mapping):
        parts = (f"{literal(key)}: {to_source(part, kind, **extra)}" for key, part in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_source(part, kind, **extra) for part in value) + "]"
    return OWN[kind].get(value, literal(value)) if isinstance(value, str) else literal(value)


def literal(value: Any) -> str:
    """Return a plain value as Python source, with strings in double quotes.

    Example:
        >>> literal({"name": None, "sizes": (1, 2.5)})
        '{"name": None, "sizes": [1, 2.5]}'
    """
    if isinstance(value, Mapping):
        parts = (f"{literal(key)}: {literal(part)}" for key, part in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
