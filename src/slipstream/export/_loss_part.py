"""The loss and the metrics of a script: the task's own, or what the plan trains with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slipstream.errors import PlanError
from slipstream.export._augment_part import has_one_hot_labels, loss_of_rows
from slipstream.export._copied import copied
from slipstream.export._objects import OWN_PREFIX, is_plain, literal, of_logits, to_source
from slipstream.plan import Plan
from slipstream.plan.losses import (
    SMOOTHED,
    JudgedOutput,
    LossChoice,
    changes_loss,
    choose_losses,
    weights_of,
)
from slipstream.task import Task

SMOOTHED_CROSS_ENTROPY = '''
def smoothed_cross_entropy(labels, predictions):
    """Cross-entropy of integer labels, {smoothing} of each spread evenly over all classes."""
    if len(labels.shape) == len(predictions.shape):
        labels = keras.ops.squeeze(labels, -1)
    targets = keras.ops.one_hot(keras.ops.cast(labels, "int32"), predictions.shape[-1])
    return keras.losses.categorical_crossentropy(
        targets, predictions, from_logits={from_logits}, label_smoothing={smoothing}
    )
'''


# Cross-entropies that Keras smooths itself, by function and by class.
SMOOTHABLE = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
}
SPARSE = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
SHORT = {"mse": "MeanSquaredError", "mae": "MeanAbsoluteError"}
TASK_LOSS = "task_loss"
ALONE = "output"
# What Keras lacks: the classes, and what they call.
_METRICS = ("_Batch", "_batch", "_of_rank", "_confusion", "_classes", "_zeros", "_ratio")
OWN_CLASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "AsymmetricMeanSquaredError": ("slipstream.ops.losses", ()),
    "SparseFocalCrossentropy": ("slipstream.ops.losses", ()),
    "ConfusionMatrix": ("slipstream.ops.metrics", _METRICS),
    "ExpectedCalibrationError": ("slipstream.ops.metrics", _METRICS),
    "F1": ("slipstream.ops.metrics", _METRICS),
}


def loss_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the losses and metrics that Keras lacks, where the script needs them."""
    # What is written as the task's author wrote it has its definitions in the task.
    nothing = {"loss": "", "metrics": ""}
    text = f"{loss_source(task, plan, nothing)}\n{metrics_source(task, plan, nothing)}"
    parts: dict[str, str] = {}
    if "smoothed_cross_entropy" in text:
        smoothing = plan.regularization.label_smoothing
        parts["smoothed_cross_entropy"] = SMOOTHED_CROSS_ENTROPY.format(
            smoothing=smoothing, from_logits=_from_logits(task, plan)
        )
    for name, (module, helpers) in OWN_CLASSES.items():
        if re.search(rf"(?<![\w.]){name}\(", text):
            parts.update({part: copied(module, part) for part in (*helpers, name)})
    return list(parts.values())


def watches_task_loss(task: Task, plan: Plan) -> bool:
    """Whether the loss that is watched is not the one that is trained on."""
    return task.monitor == "val_loss" and changes_loss(plan) and plan.runtime.loop == "slipstream"


def changes_in_words(plan: Plan) -> str:
    """Return which keys of a plan change the loss that is trained on, like "loss.name = 'mae'"."""
    values = {
        "loss.name": plan.loss.name,
        "loss.weights": plan.loss.weights,
        "regularization.label_smoothing": plan.regularization.label_smoothing,
    }
    return ", ".join(
        f"{key} = {value!r}" for key, value in values.items() if value not in ("as_task", 0.0)
    )


def plain_loss(loss: Any) -> Any:
    """Return a Keras loss object or function as a serialised value; others as they are."""
    if isinstance(loss, Mapping) and "class_name" not in loss:
        return {name: plain_loss(part) for name, part in loss.items()}
    if isinstance(loss, list | tuple):
        return [plain_loss(part) for part in loss]
    if not getattr(loss, "__module__", type(loss).__module__).startswith("keras."):
        return loss
    if hasattr(loss, "get_config"):
        return {"class_name": type(loss).__name__, "config": loss.get_config()}
    return getattr(loss, "__name__", loss)


def metrics_source(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    """Return the metrics as source; nothing where there are none."""
    plain = is_plain(task.metrics)
    metrics = of_logits(task.metrics, plain_loss(task.loss))
    text = to_source(metrics, "metrics") if plain and task.metrics else ""
    if not plain:
        text = expressions["metrics"]
    if not watches_task_loss(task, plan):
        return text
    loss = plain_loss(task.loss)
    if _is_by_output(loss) or not is_plain(loss):
        raise PlanError(
            "a plan with the task's own loss, for a script of a task that watches the loss of "
            "several outputs, or one of its own",
            changes_in_words(plan),
            "Plain Keras has no validation loss of the task's own beside it: watch a metric.",
            code="SLP-805",
        )
    exact = (
        f"keras.losses.get({literal(loss)})"
        if isinstance(loss, str) and to_source(loss, "loss") == literal(loss)
        else to_source(loss, "loss", **({} if isinstance(loss, str) else {"reduction": "none"}))
    )
    # The plan's loss is for training alone; this is the one that the task itself asks for.
    own = f'keras.metrics.MeanMetricWrapper({exact}, name="{TASK_LOSS}")'
    return f"[*{text}, {own}]" if text else f"[{own}]"


def loss_source(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    """Return the loss to train with as source."""
    smoothing = plan.regularization.label_smoothing
    if has_one_hot_labels(task, plan):
        return to_source(loss_of_rows(task.loss, smoothing), "loss")
    names_a_loss = any(name != "as_task" for name in plan.loss.names().values())
    if not smoothing and not names_a_loss:
        return to_source(task.loss, "loss") if is_plain(task.loss) else expressions["loss"]
    loss = plain_loss(task.loss)
    parts = _by_output(loss, plan)
    chosen = choose_losses(plan.loss, [_judged(*item) for item in parts.items()], smoothing)
    if smoothing:
        _refuse_no_smoothing(parts, chosen)
    sources = {
        name: _choice_source(chosen[name]) if name in chosen else _unchosen(part, smoothing)
        for name, part in parts.items()
    }
    if isinstance(loss, list):
        return "[" + ", ".join(sources.values()) + "]"
    if _is_by_output(loss):
        return "{" + ", ".join(f"{literal(name)}: {text}" for name, text in sources.items()) + "}"
    return next(iter(sources.values()))


def loss_weights_source(task: Task, plan: Plan) -> str:
    """Return the weights that the plan gives to the losses as source; "" where it gives none."""
    if not plan.loss.fixed_weights():
        return ""
    loss = plain_loss(task.loss)
    weights = weights_of(plan.loss, list(_by_output(loss, plan)))
    return literal(list(weights.values()) if isinstance(loss, list) else weights)


def _choice_source(choice: LossChoice) -> str:
    if choice.class_name == SMOOTHED:
        return "smoothed_cross_entropy"
    return to_source({"class_name": choice.class_name, "config": choice.config}, "loss")


def _unchosen(loss: Any, smoothing: float) -> str:
    if not is_plain(loss):
        raise PlanError(
            "losses of Keras for a script whose plan changes some of them",
            "a loss of your own",
            "Set loss.name = 'as_task' and regularization.label_smoothing = 0.",
            code="SLP-807",
        )
    return _smoothed(loss, smoothing) if smoothing else to_source(loss, "loss")


def _smoothed(loss: Any, smoothing: float) -> str:
    name = _name_of(loss)
    settings: Mapping[str, Any] = loss.get("config", {}) if isinstance(loss, Mapping) else {}
    if name in SPARSE:
        if settings.get("ignore_class") is not None:
            raise _cannot_smooth(f"one that leaves out the label {settings['ignore_class']}")
        if settings.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
            raise _cannot_smooth(f"one with reduction {settings['reduction']}")
        return "smoothed_cross_entropy"
    key = "smoothing" if name.startswith(OWN_PREFIX) else "label_smoothing"
    if not _can_be_smoothed(loss):
        return to_source(loss, "loss")
    changed = {
        "class_name": SMOOTHABLE.get(name, name),
        "config": {**settings, key: smoothing},
    }
    return to_source(changed, "loss")


def _can_be_smoothed(loss: Any) -> bool:
    name = _name_of(loss)
    return (
        name in SPARSE
        or name in SMOOTHABLE
        or name in SMOOTHABLE.values()
        or name == f"{OWN_PREFIX}SparseFocalCrossentropy"
    )


def _refuse_no_smoothing(parts: Mapping[str, Any], chosen: Mapping[str, LossChoice]) -> None:
    for name, part in parts.items():
        if name in chosen and "Crossentropy" in chosen[name].class_name:
            return
        if name not in chosen and is_plain(part) and part is not None and _can_be_smoothed(part):
            return
    plain = [_name_of(part) for part in parts.values() if is_plain(part)]
    raise _cannot_smooth(", ".join(sorted(plain)) or "a loss of your own")


def _cannot_smooth(what: str) -> PlanError:
    return PlanError(
        "a cross-entropy loss for regularization.label_smoothing",
        what,
        "Set regularization.label_smoothing = 0.",
        code="SLP-122",
    )


def _name_of(loss: Any) -> str:
    return str(loss["class_name"]) if isinstance(loss, Mapping) else str(loss)


def _is_by_output(loss: Any) -> bool:
    return isinstance(loss, list) or (isinstance(loss, Mapping) and "class_name" not in loss)


def _by_output(loss: Any, plan: Plan) -> dict[str, Any]:
    if isinstance(loss, list):
        # Their names are the model's to know; a plan's name alone finds those that it is for.
        return {str(place): part for place, part in enumerate(loss)}
    if _is_by_output(loss):
        return dict(loss)
    # The name of a single output is the model's to know: what the plan calls it, it is called.
    named = [name for name in plan.loss.names() if name]
    return {named[0] if len(named) == 1 else ALONE: loss}


def _judged(name: str, loss: Any) -> JudgedOutput:
    if loss is None or not is_plain(loss):
        return JudgedOutput(name, "none" if loss is None else "custom", None)
    letters = _name_of(loss).removeprefix(OWN_PREFIX)
    class_name = SHORT.get(letters, "".join(_capital(part) for part in letters.split("_")))
    settings = loss.get("config", {}) if isinstance(loss, Mapping) else {}
    has_logits = "Crossentropy" in class_name
    return JudgedOutput(
        name, class_name, bool(settings.get("from_logits", False)) if has_logits else None
    )


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _from_logits(task: Task, plan: Plan) -> bool:
    """Return whether the labels that are smoothed by a function stand against logits."""
    parts = _by_output(plain_loss(task.loss), plan)
    judged = {name: _judged(name, part) for name, part in parts.items()}
    chosen = choose_losses(plan.loss, list(judged.values()), plan.regularization.label_smoothing)
    settings = {
        bool(choice.config["from_logits"])
        for choice in chosen.values()
        if choice.class_name == SMOOTHED
    } | {
        bool(judged[name].from_logits)
        for name, part in parts.items()
        if name not in chosen and _name_of(part) in SPARSE
    }
    if len(settings) > 1:
        raise _cannot_smooth("outputs with logits and outputs with probabilities")
    return settings.pop()
