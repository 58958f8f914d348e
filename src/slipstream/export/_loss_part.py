"""The loss and the metrics of a script, with smoothed labels where the plan asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipstream.errors import PlanError
from slipstream.export._objects import is_plain, literal, to_source
from slipstream.plan import Plan
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


SMOOTHABLE = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "CategoricalCrossentropy": "CategoricalCrossentropy",
    "BinaryCrossentropy": "BinaryCrossentropy",
}


SPARSE = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")


TASK_LOSS = "task_loss"


SPARSE_NAME = "sparse"


def loss_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the loss that Keras lacks, where the plan needs it."""
    smoothing = plan.regularization.label_smoothing
    if not smoothing or SPARSE_NAME not in _loss_names(task):
        return []
    return [SMOOTHED_CROSS_ENTROPY.format(smoothing=smoothing, from_logits=_from_logits(task))]


def watches_task_loss(task: Task, plan: Plan) -> bool:
    """Whether the loss that is watched is not the one that is trained on."""
    return (
        task.monitor == "val_loss"
        and plan.regularization.label_smoothing > 0
        and plan.runtime.loop == "slipstream"
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
    text = to_source(task.metrics, "metrics") if plain and task.metrics else ""
    if not plain:
        text = expressions["metrics"]
    if not watches_task_loss(task, plan):
        return text
    loss = plain_loss(task.loss)
    if isinstance(loss, list) or (isinstance(loss, Mapping) and "class_name" not in loss):
        raise PlanError(
            "regularization.label_smoothing = 0 for a script of a task that watches the loss of "
            "several outputs",
            str(plan.regularization.label_smoothing),
            "Plain Keras has no validation loss without smoothing: watch a metric instead.",
        )
    exact = (
        f"keras.losses.get({literal(loss)})"
        if isinstance(loss, str)
        else to_source(loss, "loss", reduction="none")
    )
    # Labels are smoothed in training alone; this is the loss that the task itself asks for.
    own = f'keras.metrics.MeanMetricWrapper({exact}, name="{TASK_LOSS}")'
    return f"[*{text}, {own}]" if text else f"[{own}]"


def loss_source(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    """Return the loss to train with as source."""
    smoothing = plan.regularization.label_smoothing
    if not smoothing:
        return to_source(task.loss, "loss") if is_plain(task.loss) else expressions["loss"]
    loss = plain_loss(task.loss)
    if not is_plain(loss):
        raise _cannot_smooth("a loss of your own")
    if not any(name == SPARSE_NAME or name in SMOOTHABLE for name in _loss_names(task)):
        raise _cannot_smooth(", ".join(sorted(_loss_names(task))))
    if isinstance(loss, Mapping) and "class_name" not in loss:
        parts = (f"{literal(name)}: {_smoothed(part, smoothing)}" for name, part in loss.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(loss, list):
        return "[" + ", ".join(_smoothed(part, smoothing) for part in loss) + "]"
    return _smoothed(loss, smoothing)


def _smoothed(loss: Any, smoothing: float) -> str:
    name = _name_of(loss)
    if name in SPARSE:
        settings = loss.get("config", {}) if isinstance(loss, Mapping) else {}
        if settings.get("ignore_class") is not None:
            raise _cannot_smooth(f"one that leaves out the label {settings['ignore_class']}")
        if settings.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
            raise _cannot_smooth(f"one with reduction {settings['reduction']}")
        return "smoothed_cross_entropy"
    if name not in SMOOTHABLE:
        return to_source(loss, "loss")
    config: Mapping[str, Any] = loss.get("config", {}) if isinstance(loss, Mapping) else {}
    smoothed = {
        "class_name": SMOOTHABLE[name],
        "config": {**config, "label_smoothing": smoothing},
    }
    return to_source(smoothed, "loss")


def _cannot_smooth(what: str) -> PlanError:
    return PlanError(
        "a cross-entropy loss for regularization.label_smoothing",
        what,
        "Set regularization.label_smoothing = 0.",
    )


def _name_of(loss: Any) -> str:
    return str(loss["class_name"]) if isinstance(loss, Mapping) else str(loss)


def _parts(task: Task) -> list[Any]:
    loss = plain_loss(task.loss)
    if isinstance(loss, list):
        return loss
    return list(loss.values()) if isinstance(loss, Mapping) and "class_name" not in loss else [loss]


def _loss_names(task: Task) -> set[str]:
    return {SPARSE_NAME if _name_of(loss) in SPARSE else _name_of(loss) for loss in _parts(task)}


def _from_logits(task: Task) -> bool:
    settings = {
        bool(loss.get("config", {}).get("from_logits")) if isinstance(loss, Mapping) else False
        for loss in _parts(task)
        if _name_of(loss) in SPARSE
    }
    if len(settings) > 1:
        raise _cannot_smooth("outputs with logits and outputs with probabilities")
    return settings.pop()
