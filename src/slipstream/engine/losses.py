"""The loss to train with: the task's own, or what the plan puts in its place."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras.src.trainers.compile_utils import CompileLoss

from slipstream.data.mixed_labels import MixedLabels
from slipstream.data.splits import Split
from slipstream.engine.mixing import mixed_labels
from slipstream.errors import PlanError, TaskError
from slipstream.ops.loss_weights import LogVariances, UncertaintyWeightedLoss
from slipstream.ops.losses import (
    LOSSES,
    SmoothedSparseCategoricalCrossentropy,
    SparseFocalCrossentropy,
)
from slipstream.ops.metrics import METRICS
from slipstream.plan import Plan
from slipstream.plan.augmentation import mixes_labels
from slipstream.plan.losses import (
    LEARNED,
    JudgedOutput,
    LossChoice,
    choose_losses,
    weights_of,
)
from slipstream.task import OutputFacts, Task

# These smooth labels by a setting of their own.
_SMOOTHING = {
    keras.losses.CategoricalCrossentropy: "label_smoothing",
    keras.losses.BinaryCrossentropy: "label_smoothing",
    keras.losses.CategoricalFocalCrossentropy: "label_smoothing",
    keras.losses.BinaryFocalCrossentropy: "label_smoothing",
    SparseFocalCrossentropy: "smoothing",
}
_FUNCTIONS = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
}
# Keras chooses among several by the shapes that they get.
BY_SHAPES = ("accuracy", "acc", "crossentropy", "ce")
# By name these get the threshold of logits, where a binary loss says that outputs are logits.
_AT_A_THRESHOLD = {
    "precision": keras.metrics.Precision,
    "recall": keras.metrics.Recall,
    "true_positives": keras.metrics.TruePositives,
    "true_negatives": keras.metrics.TrueNegatives,
    "false_positives": keras.metrics.FalsePositives,
    "false_negatives": keras.metrics.FalseNegatives,
}
# No losses or metrics, though they stand among them.
_OTHERS = ("Loss", "Metric", "deserialize", "get", "serialize")
# What Keras, or ops, calls the plan's settings.
_SETTINGS = {
    "loss.from_logits": "from_logits",
    "loss.delta": "delta",
    "loss.asymmetry": "asymmetry",
    "loss.focus": "gamma",
    "loss.balance": "alpha",
}


@dataclass(frozen=True)
class TrainingLoss:
    """A loss for training in place of the task's own, and what was done of the plan, by key.

    `labels` says how labels are mixed, where the plan mixes examples.
    """

    compiled: Any
    applied: dict[str, str] = field(default_factory=dict)
    labels: MixedLabels | None = None


def resolve_loss(loss: Any) -> Any:
    """Return what `Model.compile` takes: names and serialised losses become Keras objects."""
    if isinstance(loss, Mapping) and "class_name" in loss:
        return _of_keras("loss", keras.losses, dict(loss), LOSSES)
    if isinstance(loss, Mapping):
        return {name: resolve_loss(part) for name, part in loss.items()}
    if isinstance(loss, list | tuple):
        return [resolve_loss(part) for part in loss]
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    return _of_keras("loss", keras.losses, loss, LOSSES) if isinstance(loss, str) else loss


def resolve_metric(metric: Any, from_logits: bool = False, binary: bool = False) -> Any:
    """Return what `Model.compile` takes: our names and serialised metrics become Keras objects.

    Args:
        metric: A name, a serialised metric, or what Keras takes itself.
        from_logits: Whether a metric that is named here by its name gets logits.
        binary: Whether these are logits of a yes or no, each by itself: above 0 is yes.

    Raises:
        TaskError: Nobody knows a metric of this name.
    """
    if isinstance(metric, Mapping) and "class_name" in metric:
        return _of_keras("metric", keras.metrics, _with_a_name(metric), METRICS)
    if isinstance(metric, str) and metric in METRICS:
        return METRICS[metric](from_logits=from_logits)
    if metric in ("auc", "AUC") and from_logits:
        return keras.metrics.AUC(name="auc", from_logits=True)
    if from_logits and binary and isinstance(metric, str):
        name = _in_snake_case(metric)
        if name in _AT_A_THRESHOLD:
            return _AT_A_THRESHOLD[name](thresholds=0.0, name=name)
    if isinstance(metric, str) and metric not in BY_SHAPES:
        # Keras makes it of the name, so that it may number it.
        _of_keras("metric", keras.metrics, metric, METRICS)
    return metric


def _with_a_name(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Return a serialised metric that says its name: Keras would number those that do not."""
    name, config = str(metric["class_name"]), dict(metric.get("config") or {})
    if ">" not in name:
        config.setdefault("name", _in_snake_case(name))
    return {**metric, "config": config}


def _in_snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def metrics_of(task: Task) -> Any:
    """Return a task's metrics as `Model.compile` takes them; ours take what its loss takes.

    Raises:
        TaskError: Nobody knows one of them.
    """
    return _resolved(task.metrics, resolve_loss(task.loss))


def _resolved(metrics: Any, loss: Any) -> Any:
    if isinstance(metrics, Mapping) and "class_name" not in metrics:
        parts = loss if isinstance(loss, Mapping) else dict.fromkeys(metrics, loss)
        return {name: _resolved(part, parts.get(name)) for name, part in metrics.items()}
    if isinstance(metrics, list | tuple):
        losses = loss if isinstance(loss, list) and len(loss) == len(metrics) else None
        return [_resolved(part, losses[i] if losses else loss) for i, part in enumerate(metrics)]
    return resolve_metric(metrics, _takes_logits(loss), _is_binary(loss))


def _takes_logits(loss: Any) -> bool:
    if isinstance(loss, Mapping):
        loss = list(loss.values())
    losses = loss if isinstance(loss, list) else [loss]
    return any(getattr(one, "from_logits", False) is True for one in losses)


def _is_binary(loss: Any) -> bool:
    """Whether a loss judges each number of an output by itself, as a yes or no."""
    kinds = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)
    return isinstance(loss, kinds)


def _of_keras(kind: str, module: Any, given: Any, ours: Mapping[str, Any]) -> Any:
    """Return what Keras makes of a name or of a serialised object."""
    try:
        return module.get(given)
    except (ValueError, TypeError) as error:
        name = given if isinstance(given, str) else str(given["class_name"])
        known = [known for known in dir(module) if known[0] != "_" and known not in _OTHERS]
        if isinstance(given, str):
            known = [*map(_in_snake_case, known), *ours]
        instead = _instead(name, known, kind)
        if name in known or name.rpartition(">")[2] in known:
            raise TaskError(
                f"a {kind} that Keras can make of {given!r}",
                str(error),
                "Mend its config.",
                code="SLP-215",
            ) from None
        raise TaskError(
            f"a {kind} that Keras or Slipstream knows",
            f"'{name}'",
            f"{instead} One of your own is registered with "
            "@keras.saving.register_keras_serializable(), or given as it is.",
            code="SLP-214",
        ) from None


def _instead(name: str, known: Sequence[str], kind: str) -> str:
    """Return which name is meant, where one begins like it or is spelt alike."""
    begin = [one for one in known if one.lower().startswith(name.lower())]
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if begin or alike:
        return f"Did you mean '{[*alike, *begin][0]}'?"
    return f"Take a name of Keras', like '{'mse' if kind == 'loss' else 'accuracy'}'."


def learned_weights(task: Task, plan: Plan, model: Any) -> LogVariances | None:
    """Give the model the variables that weigh its outputs, where the plan learns weights.

    They stand in the model, so that the optimizer moves them like all others. They begin at the
    task's own weights.

    Raises:
        PlanError: The model has one output, or a weight of the task is not positive.
    """
    if plan.loss.weights != LEARNED:
        return None
    names = _names(model)
    weights_of(plan.loss, names)
    losses = by_output(resolve_loss(task.loss), names)
    judged = [name for name in names if losses.get(name) is not None]
    weights = by_output(task.loss_weights, names)
    start = [1.0 if weights.get(name) is None else float(weights[name]) for name in judged]
    if any(weight <= 0 for weight in start):
        raise PlanError(
            "weights above 0 of the task's losses for loss.weights = 'learned'",
            ", ".join(f"{weight:g}" for weight in start),
            "A weight that is learned is never 0: leave that output's loss out of the task.",
            code="SLP-121",
        )
    layer = LogVariances([-math.log(weight) for weight in start])
    locked = model._tracker.locked
    model._tracker.unlock()
    model.slipstream_log_variances = layer
    if locked:
        model._tracker.lock()
    return layer


def training_loss(
    task: Task,
    plan: Plan,
    model: Any,
    outputs: Sequence[OutputFacts],
    log_variances: LogVariances | None,
    train: Split,
) -> TrainingLoss:
    """Return the loss that a plan trains with.

    Raises:
        PlanError: An output is misspelt, or no output takes what the plan names.
    """
    names = [output.name for output in outputs]
    smoothing = plan.regularization.label_smoothing
    own = resolve_loss(task.loss)
    losses = by_output(own, names)
    judged = [
        JudgedOutput(output.name, output.loss, output.from_logits, output.activation)
        for output in outputs
    ]
    chosen = choose_losses(plan.loss, judged, smoothing)
    applied: dict[str, str] = {}
    if chosen:
        applied["loss.name"] = _chosen_in_words(chosen)
        applied |= _settings_in_words(plan, chosen)
    smoothed = [name for name, choice in chosen.items() if "Crossentropy" in choice.class_name]
    for name in names:
        if name in chosen:
            losses[name] = from_choice(chosen[name])
        elif smoothing > 0 and losses.get(name) is not None:
            changed = _smoothed(losses[name], smoothing)
            if changed is not losses[name]:
                smoothed.append(name)
            losses[name] = changed
    if smoothing > 0:
        _refuse_no_smoothing(smoothed, own)
        applied["regularization.label_smoothing"] = str(smoothing)
    labels = None
    if mixes_labels(plan):
        labels, losses[names[0]] = mixed_labels(plan, model, outputs, losses, train)
    nest = _like(own, losses, names, model)
    output_names = getattr(model, "output_names", None)
    if log_variances is not None:
        applied["loss.weights"] = f"learned for {len(names)} outputs"
        return TrainingLoss(UncertaintyWeightedLoss(nest, log_variances, output_names), applied)
    weights: Any = task.loss_weights
    fixed = weights_of(plan.loss, names)
    if fixed:
        weights = _like(own, fixed, names, model)
        applied["loss.weights"] = ", ".join(f"{name}={fixed[name]:g}" for name in fixed)
    compiled = CompileLoss(nest, weights, output_names=output_names)
    return TrainingLoss(compiled, applied, labels)


def from_choice(choice: LossChoice) -> Any:
    """Return the Keras loss that was chosen."""
    return keras.losses.get({"class_name": choice.class_name, "config": dict(choice.config)})


def by_output(loss: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the losses, or weights, by the names of the outputs that they are for."""
    if isinstance(loss, Mapping):
        return dict(loss)
    if isinstance(loss, list | tuple):
        return dict(zip(names, loss, strict=False))
    return dict.fromkeys(names, loss)


def _like(own: Any, values: Mapping[str, Any], names: Sequence[str], model: Any) -> Any:
    """Return values by output in the nest that the task's own loss, or the model's output, has."""
    if isinstance(own, Mapping):
        return {name: values[name] for name in own}
    flat = [values.get(name) for name in names]
    if isinstance(own, list):
        return flat[: len(own)]
    if len(flat) == 1:
        return flat[0]
    structure = getattr(model, "_outputs_struct", None)
    return flat if structure is None else keras.tree.pack_sequence_as(structure, flat)


def _names(model: Any) -> list[str]:
    return list(getattr(model, "output_names", None) or ["output"])


def _chosen_in_words(chosen: Mapping[str, LossChoice]) -> str:
    return ", ".join(
        f"{name}: {choice.class_name.removeprefix('slipstream>')}"
        + (f" {dict(choice.config)}" if choice.config else "")
        for name, choice in chosen.items()
    )


def _settings_in_words(plan: Plan, chosen: Mapping[str, LossChoice]) -> dict[str, str]:
    """Return the settings of losses that the plan changes by its keys, output by output."""
    words: dict[str, str] = {}
    for key in _SETTINGS.keys() & plan.difference(Plan()).keys():
        setting = _SETTINGS[key]
        known = {name: c.config[setting] for name, c in chosen.items() if setting in c.config}
        if known:
            words[key] = ", ".join(f"{name}: {value}" for name, value in known.items())
    return words


def _refuse_no_smoothing(smoothed: Sequence[str], own: Any) -> None:
    if smoothed:
        return
    parts = list(own.values()) if isinstance(own, Mapping) else own
    parts = parts if isinstance(parts, list) else [parts]
    raise PlanError(
        "a cross-entropy loss for regularization.label_smoothing",
        ", ".join(str(getattr(part, "__name__", type(part).__name__)) for part in parts),
        "Set regularization.label_smoothing = 0.",
        code="SLP-122",
    )


def _smoothed(loss: Any, smoothing: float) -> Any:
    """Return the loss with smoothed labels where it is a cross-entropy, else the loss itself."""
    name = getattr(loss, "__name__", type(loss).__name__)
    if name in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"):
        if getattr(loss, "ignore_class", None) is not None:
            raise PlanError(
                "a cross-entropy over all labels for regularization.label_smoothing",
                f"one that leaves out the label {loss.ignore_class}",
                "Set regularization.label_smoothing = 0.",
                code="SLP-123",
            )
        from_logits = bool(getattr(loss, "from_logits", False))
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        return SmoothedSparseCategoricalCrossentropy(smoothing, from_logits, reduction=reduction)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](label_smoothing=smoothing)
    if type(loss) in _SMOOTHING:
        return type(loss).from_config({**loss.get_config(), _SMOOTHING[type(loss)]: smoothing})
    return loss
