"""Keras objects that a task holds as names or as serialised values, written as source."""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from slipstream.errors import TaskError

PLACES = {"loss": "keras.losses", "metrics": "keras.metrics"}
# Classes that Keras lacks: their names as Keras serialises them, and those of their instances.
OWN_PREFIX = "slipstream>"
# Marks the name of one that takes logits.
FROM_LOGITS = " of logits"
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
# What a name stands for with a binary loss of logits: the threshold is theirs.
AT_A_THRESHOLD = {
    "FalseNegatives": "false_negatives",
    "FalsePositives": "false_positives",
    "Precision": "precision",
    "Recall": "recall",
    "TrueNegatives": "true_negatives",
    "TruePositives": "true_positives",
}

OWN_CLASSES = {made.partition("(")[0] for kind in OWN.values() for made in kind.values()}


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
        name = str(value["class_name"])
        is_own = name.startswith(OWN_PREFIX)
        own = name.removeprefix(OWN_PREFIX)
        # Without the prefix it would be any name that the script knows.
        _refuse_code((own if own in OWN_CLASSES or not is_own else name, *map(str, settings)))
        arguments = ", ".join(f"{key}={literal(part)}" for key, part in settings.items())
        place = own if is_own else f"{PLACES[kind]}.{name}"
        return f"{place}({arguments})"
    if isinstance(value, Mapping):
        parts = (f"{literal(key)}: {to_source(part, kind, **extra)}" for key, part in value.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_source(part, kind, **extra) for part in value) + "]"
    return _own(value, kind) if isinstance(value, str) else literal(value)


def of_logits(metrics: Any, loss: Any) -> Any:
    """Return metrics where those that can take logits do, if the loss that judges does.

    Example:
        >>> loss = {"class_name": "BinaryCrossentropy", "config": {"from_logits": True}}
        >>> to_source(of_logits(["f1_macro", "accuracy"], loss), "metrics")
        '[F1("macro", name="f1_macro", from_logits=True), "accuracy"]'
        >>> to_source(of_logits("recall", loss), "metrics")
        'keras.metrics.Recall(thresholds=0.0, name="recall")'
    """
    if isinstance(metrics, Mapping) and "class_name" not in metrics:
        by_output = isinstance(loss, Mapping) and "class_name" not in loss
        parts = loss if by_output else dict.fromkeys(metrics, loss)
        return {name: of_logits(part, parts.get(name)) for name, part in metrics.items()}
    if isinstance(metrics, list | tuple):
        paired = isinstance(loss, list | tuple) and len(loss) == len(metrics)
        return [of_logits(m, loss[i] if paired else loss) for i, m in enumerate(metrics)]
    if not isinstance(metrics, str) or not _takes_logits(loss):
        return metrics
    if metrics in ("auc", "AUC"):
        return {"class_name": "AUC", "config": {"name": "auc", "from_logits": True}}
    class_name = "".join(part[0].upper() + part[1:] for part in metrics.split("_"))
    if class_name in AT_A_THRESHOLD and _is_binary(loss):
        name = AT_A_THRESHOLD[class_name]
        return {"class_name": class_name, "config": {"thresholds": 0.0, "name": name}}
    return f"{metrics}{FROM_LOGITS}" if metrics in OWN["metrics"] else metrics


def _takes_logits(loss: Any) -> bool:
    if isinstance(loss, Mapping) and "class_name" in loss:
        return loss.get("config", {}).get("from_logits") is True
    parts = list(loss.values()) if isinstance(loss, Mapping) else loss
    return isinstance(parts, list | tuple) and any(map(_takes_logits, parts))


def _is_binary(loss: Any) -> bool:
    return isinstance(loss, Mapping) and "Binary" in str(loss.get("class_name", ""))


def _own(name: str, kind: str) -> str:
    made = OWN[kind].get(name.removesuffix(FROM_LOGITS))
    if made is None or not name.endswith(FROM_LOGITS):
        return made or literal(name)
    head = made.removesuffix(")")
    return f"{head}{'' if head.endswith('(') else ', '}from_logits=True)"


def _refuse_code(names: Iterable[str]) -> None:
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise TaskError(
                "a loss or metric that is called by a name",
                repr(name)[:100],
                "Name a class of Keras and its arguments.",
                code="SLP-820",
            )


def in_comments(text: str) -> str:
    """Return what somebody named as it can stand in a docstring or a comment: words alone.

    Example:
        >>> in_comments('my "own"')
        "my 'own'"
    """
    plain = text.replace('"', "'").replace("\\", "/").replace("@", " ")
    return "".join(letter if letter.isprintable() else " " for letter in plain)


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
    if not isinstance(value, str):
        return repr(value)
    # Marks of this room's own stand between "@": what somebody named must hold none.
    return json.dumps(value, ensure_ascii=False).replace("@", "\\x40")
