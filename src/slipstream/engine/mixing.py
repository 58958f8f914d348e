"""Losses of mixed labels, and what is done to examples in the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras
from keras import ops

from slipstream.backends import overrides
from slipstream.data.mixed_labels import MixedLabels
from slipstream.data.splits import Arrays, Split, leaves, map_arrays
from slipstream.engine.augmentation import Augmenter
from slipstream.errors import PlanError
from slipstream.ops.losses import (
    AsymmetricMeanSquaredError,
    SmoothedSparseCategoricalCrossentropy,
    SparseFocalCrossentropy,
)
from slipstream.plan import Plan
from slipstream.plan.augmentation import keys_in_words
from slipstream.task import OutputFacts

_OF_NUMBERS = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.Huber,
    keras.losses.LogCosh,
    AsymmetricMeanSquaredError,
)
_BY_NAME = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
}


@final
class Prepared:
    """See `slipstream.backends._preparation.Preparation`.

    Args:
        augmenter: What is done to images.
        labels: How labels are mixed; None where they are not.
    """

    def __init__(self, augmenter: Augmenter, labels: MixedLabels | None) -> None:
        self._augmenter = augmenter
        self._labels = labels

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed."""
        return self._labels is not None

    def batches(
        self, update: Mapping[str, Any], gather: Callable[[Arrays], Arrays]
    ) -> list[Arrays]:
        """Return inputs, labels and weights of each micro-batch of an update."""
        num, size = next(leaves(update)).shape[:2]
        flat = map_arrays(lambda array: _joined(array, num, size), update)
        x, y, weights = gather(flat["batch"])
        x = self._augmenter.in_step(x, flat["draws"], ops)
        if self._labels is not None:
            y, weights = self._labels.mix(
                y, weights, flat["other"], flat["other_weights"], flat["share"], ops
            )
        if num == 1:
            return [(x, y, weights)]
        return [
            map_arrays(lambda array, s=start: array[s : s + size], (x, y, weights))  # type: ignore[misc]
            for start in range(0, num * size, size)
        ]

    def judged(self, y: Arrays) -> Arrays:
        """Return the labels that metrics are judged by."""
        labels = self._labels
        return y if labels is None else map_arrays(lambda array: labels.judged(array, ops), y)


def mixed_labels(
    plan: Plan, model: Any, outputs: Sequence[OutputFacts], losses: Mapping[str, Any], train: Split
) -> tuple[MixedLabels, Any]:
    """Return how the labels of a task are mixed, and the loss of its output for mixed ones.

    Args:
        plan: The plan; it mixes examples.
        model: The model.
        outputs: Facts of its outputs.
        losses: What training minimises, by output.
        train: The training split.

    Raises:
        PlanError: The labels of the task cannot be mixed.
    """
    _refuse_other_models(plan, model, outputs)
    output = outputs[0]
    loss = losses.get(output.name)
    name = getattr(loss, "__name__", "")
    loss = _BY_NAME[name]() if name in _BY_NAME else loss
    labels = list(leaves(train.y))
    form, changed = _for_mixed(loss)
    fits = len(labels) == 1 and (form == "numbers" or len(output.shape) == 1)
    if not form or not fits or (form == "numbers" and plan.augmentation.cutmix):
        kinds = (
            "a cross-entropy of classes"
            if plan.augmentation.cutmix
            else ("a cross-entropy of classes, or a loss of numbers")
        )
        raise PlanError(
            f"one label for each example and {kinds}, for {keys_in_words(plan)}",
            f"{name or output.loss} of an output of shape {output.shape}",
            _mend(plan),
            code="SLP-144",
        )
    if form == "classes":
        num_classes = int(output.shape[0] or 0)
        return MixedLabels(form, num_classes, in_columns=labels[0].ndim > 1), changed
    return MixedLabels(form), changed


def few_mixed(few: Split, labels: MixedLabels) -> Arrays:
    """Return a few examples as training with mixed labels sees them."""
    y = map_arrays(labels.rows, few.y)
    return few.x, y, few.sample_weight


def _for_mixed(loss: Any) -> tuple[str, Any]:
    """Return the form of a loss' labels and the loss of mixed ones; "" where there is none."""
    settings = loss.get_config() if hasattr(loss, "get_config") else {}
    reduction = {"reduction": settings.get("reduction", "sum_over_batch_size")}
    logits = {"from_logits": settings.get("from_logits", False)}
    kind = type(loss)
    if kind is keras.losses.SparseCategoricalCrossentropy and loss.ignore_class is None:
        return "classes", keras.losses.CategoricalCrossentropy(**logits, **reduction)
    if kind is SmoothedSparseCategoricalCrossentropy:
        smoothing = {"label_smoothing": loss.smoothing}
        return "classes", keras.losses.CategoricalCrossentropy(**logits, **smoothing, **reduction)
    if kind is SparseFocalCrossentropy:
        focal = {"alpha": 1.0, "gamma": loss.gamma, "label_smoothing": loss.smoothing}
        return "classes", keras.losses.CategoricalFocalCrossentropy(**logits, **focal, **reduction)
    if kind in (keras.losses.CategoricalCrossentropy, keras.losses.CategoricalFocalCrossentropy):
        return "one_hot", loss
    if kind is keras.losses.BinaryCrossentropy:
        return "yes_no", loss
    return ("numbers", loss) if kind in _OF_NUMBERS else ("", None)


def _refuse_other_models(plan: Plan, model: Any, outputs: Sequence[OutputFacts]) -> None:
    own = [name for name in ("train_step", "compute_loss") if overrides(model, name)]
    came = f"{type(model).__name__}, which has a {own[0]} of its own" if own else ""
    if len(outputs) != 1:
        came = f"outputs {', '.join(output.name for output in outputs)}"
    if came:
        raise PlanError(
            f"a model with one output, trained by a loss of Keras' kind, for {keys_in_words(plan)}",
            came,
            _mend(plan),
            code="SLP-145",
        )


def _mend(plan: Plan) -> str:
    section = plan.augmentation
    keys = [key for key in ("mixup", "cutmix") if getattr(section, key)]
    return f"Set {' and '.join(f'augmentation.{key} = 0.0' for key in keys)}."


def _joined(array: Any, num: int, size: int) -> Any:
    return array[0] if num == 1 else ops.reshape(array, (num * size, *array.shape[2:]))
