"""What a compiled model and the arguments of a fit say of themselves, as plain values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

MISSING = "not known"
DEFAULT_BATCH = 32
# These tell two things apart that are the same.
NOT_SETTINGS = ("name", "built", "trainable")


def fingerprint_of(model: Any) -> str:
    """Return 12 hexadecimal characters that change with the model's layers, settings or shapes."""
    layers = [
        (
            type(layer).__qualname__,
            # A model's own attributes change as it is compiled and trained.
            {} if hasattr(layer, "fit") else settings_of(layer),
            [tuple(weight.shape) for weight in layer.weights],
        )
        for layer in _layers(model)
    ]
    return hashlib.sha256(repr(layers).encode()).hexdigest()[:12]


def optimizer_of(model: Any) -> str:
    """Return the optimizer's class and its settings in a line."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return MISSING
    settings = settings_of(optimizer)
    rate: Any = getattr(optimizer, "_learning_rate", None)
    if type(rate).__name__ == "Variable":
        settings["learning_rate"] = float(f"{float(rate):.7g}")
    elif rate is not None:
        settings["learning_rate"] = {_name(rate): settings_of(rate)}
    return f"{type(optimizer).__name__} {json.dumps(settings)}"


def settings_of(thing: Any) -> dict[str, Any]:
    """Return those public attributes of a Keras object that are plain values or functions.

    `get_config` would say it better, but brings TensorFlow in on every backend.

    Example:
        >>> settings_of(type("Adam", (), {})())
        {}
    """
    found: dict[str, Any] = {}
    for name, value in sorted(getattr(thing, "__dict__", {}).items()):
        if name.startswith("_") or name in NOT_SETTINGS:
            continue
        if value is None or isinstance(value, str | int | float | bool):
            found[name] = value
        elif isinstance(value, tuple) and all(isinstance(part, int | float) for part in value):
            found[name] = list(value)
        elif callable(value) and hasattr(value, "__name__"):
            found[name] = value.__name__
    return found


def loss_of(model: Any) -> str:
    """Return the loss or losses in a line."""
    return _spelt(getattr(model, "loss", None))


def parameters_of(model: Any) -> int:
    """Return how many numbers the model's weights hold; 0 before it is built."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def num_examples(arguments: Mapping[str, Any]) -> int | None:
    """Return how many examples an epoch of a fit sees, or None where nobody can tell.

    Args:
        arguments: The arguments of `Model.fit`, by name.

    Example:
        >>> import numpy as np
        >>> num_examples({"x": [np.zeros((10, 2)), np.zeros((10, 3))], "validation_split": 0.2})
        8
        >>> num_examples({"x": iter(())}) is None
        True
    """
    if arguments.get("steps_per_epoch") is not None:
        return None
    shape = getattr(_first_of(arguments.get("x")), "shape", None)
    if shape is None or len(shape) == 0 or not isinstance(shape[0], int):
        return None
    held_out = arguments.get("validation_split") or 0.0
    kept = not held_out or arguments.get("validation_data") is not None
    return int(shape[0]) if kept else math.floor(shape[0] * (1.0 - held_out))


def steps_per_epoch(arguments: Mapping[str, Any]) -> int | None:
    """Return how many batches an epoch of a fit has, or None where nobody can tell.

    Example:
        >>> import numpy as np
        >>> steps_per_epoch({"x": np.zeros((100, 2)), "batch_size": 30})
        4
    """
    if arguments.get("steps_per_epoch") is not None:
        return int(arguments["steps_per_epoch"])
    examples = num_examples(arguments)
    if examples is not None:
        return math.ceil(examples / (arguments.get("batch_size") or DEFAULT_BATCH))
    x: Any = arguments.get("x")
    try:
        batches = int(x.cardinality()) if hasattr(x, "cardinality") else len(x)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        return None
    return batches if batches > 0 else None


def examples_per_epoch(arguments: Mapping[str, Any]) -> int | None:
    """Return how many examples an epoch sees, of loaders and batched datasets too, if they tell.

    Example:
        >>> examples_per_epoch({"x": iter(())}) is None
        True
    """
    known = num_examples(arguments)
    if known is not None:
        return known
    x: Any = arguments.get("x")
    shape = getattr(_first_of(getattr(x, "element_spec", None)), "shape", None)
    size = shape[0] if shape else getattr(x, "batch_size", None)
    steps = steps_per_epoch(arguments)
    return size * steps if isinstance(size, int) and steps is not None else None


def monitor_of(arguments: Mapping[str, Any]) -> str:
    """Return what the record watches: the loss on what is held out, if anything is.

    Example:
        >>> monitor_of({"validation_split": 0.1}), monitor_of({})
        ('val_loss', 'loss')
    """
    held_out = arguments.get("validation_data") is not None or arguments.get("validation_split")
    return "val_loss" if held_out else "loss"


def _first_of(nest: Any) -> Any:
    """Return the first leaf of a nest of lists, tuples and dicts."""
    while isinstance(nest, list | tuple | dict) and len(nest) > 0:
        nest = next(iter(nest.values())) if isinstance(nest, dict) else nest[0]
    return nest


def _spelt(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_spelt(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_spelt(part) for part in value)
    return str(getattr(value, "name", None) or _name(value))


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", None) or type(value).__name__)


def _layers(model: Any) -> list[Any]:
    flatten = getattr(model, "_flatten_layers", None)
    return list(flatten()) if flatten is not None else [model]
