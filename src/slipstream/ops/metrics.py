"""Metrics that Keras lacks, or computes wrongly for some shapes: sums over all batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, final

import keras
from keras import ops

Average = Literal["binary", "macro", "micro"]


class _Batch(NamedTuple):
    """A batch of M judged positions and C classes; a single score counts as two classes.

    `labels` are (M,) int32, `scores` (M, C) probabilities or what orders like them, `weights` (M,),
    and `is_single` tells that the scores came as one number each.
    """

    labels: Any
    scores: Any
    weights: Any
    is_single: bool


@final
@keras.saving.register_keras_serializable("slipstream")
class F1(keras.metrics.Metric):
    """F1, the harmonic mean of precision and recall, over all examples seen.

    f1 = 2 * tp / (2 * tp + fp + fn)

    Args:
        average: "binary" is the F1 of class 1, "macro" the mean over the classes that occur in
            targets or predictions, "micro" that of all counts together.
        from_logits: Whether scores are logits.
        threshold: A single score above it, as a probability, is class 1.

    Call with scores of shape (N,), (N, ..., 1) or (N, ..., C), and labels of shape (N, ...),
    (N, ..., 1), or one-hot (N, ..., C).

    Source: van Rijsbergen, 1979, "Information Retrieval", chapter 7.
    """

    def __init__(
        self,
        average: Average = "binary",
        from_logits: bool = False,
        threshold: float = 0.5,
        name: str = "f1",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in ("binary", "macro", "micro"):
            raise ValueError(f"average is to be 'binary', 'macro' or 'micro'; got {average!r}")
        self.average = average
        self.from_logits = from_logits
        self.threshold = threshold
        self._counts: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        batch = _batch(y_true, y_pred, sample_weight, self.from_logits)
        table = _confusion(batch, self.threshold)
        if self._counts is None:
            self._counts = _zeros(self, "counts", table.shape)
        self._counts.assign(self._counts + ops.cast(table, self.dtype))

    def result(self) -> Any:
        """Return the F1; 0 where there is nothing to be right about."""
        if self._counts is None:
            return ops.zeros((), self.dtype)
        right = ops.diagonal(self._counts)
        # What was said and what was true of each class: 2 tp + fp + fn.
        judged = ops.sum(self._counts, axis=0) + ops.sum(self._counts, axis=1)
        if self.average == "micro":
            return _ratio(2.0 * ops.sum(right), ops.sum(judged))
        each = _ratio(2.0 * right, judged)
        if self.average == "binary":
            return each[1]
        return _ratio(ops.sum(each), ops.sum(ops.cast(judged > 0, self.dtype)))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this metric."""
        return {
            **super().get_config(),
            "average": self.average,
            "from_logits": self.from_logits,
            "threshold": self.threshold,
        }


@final
@keras.saving.register_keras_serializable("slipstream")
class ConfusionMatrix(keras.metrics.Metric):
    """How often class i was taken for class j: a matrix (C, C) of counts, or of weights.

    Args:
        from_logits: Whether scores are logits.
        threshold: A single score above it, as a probability, is class 1.

    Call it like `F1`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        threshold: float = 0.5,
        name: str = "confusion_matrix",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.threshold = threshold
        self._counts: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        batch = _batch(y_true, y_pred, sample_weight, self.from_logits)
        table = _confusion(batch, self.threshold)
        if self._counts is None:
            self._counts = _zeros(self, "counts", table.shape)
        self._counts.assign(self._counts + ops.cast(table, self.dtype))

    def result(self) -> Any:
        """Return the matrix: rows are true classes, columns predicted ones."""
        return ops.zeros((0, 0)) if self._counts is None else ops.convert_to_tensor(self._counts)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this metric."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "threshold": self.threshold,
        }


@final
@keras.saving.register_keras_serializable("slipstream")
class ExpectedCalibrationError(keras.metrics.Metric):
    """How far confidence and accuracy are apart, over all examples seen.

    ece = sum over bins of |share right - mean confidence| * share of the examples

    Args:
        num_bins: The number of bins of equal width, (0, 1/n], (1/n, 2/n], ...
        from_logits: Whether scores are logits.

    The confidence is the probability of the class that is predicted. Call it like `F1`.

    Source: Naeini, Cooper and Hauskrecht, 2015, "Obtaining well calibrated probabilities using
    Bayesian binning"; Guo et al., 2017, arXiv:1706.04599.
    """

    def __init__(
        self,
        num_bins: int = 15,
        from_logits: bool = False,
        name: str = "expected_calibration_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_bins = num_bins
        self.from_logits = from_logits
        self._gap = _zeros(self, "gap", (num_bins,))
        self._total = _zeros(self, "total", ())

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        batch = _batch(y_true, y_pred, sample_weight, self.from_logits)
        confidence = ops.max(batch.scores, axis=-1)
        right = ops.cast(ops.equal(_classes(batch.scores), batch.labels), "float32")
        place = ops.cast(ops.ceil(confidence * self.num_bins), "int32") - 1
        bins = ops.one_hot(ops.clip(place, 0, self.num_bins - 1), self.num_bins)
        gap = ops.sum(bins * ((right - confidence) * batch.weights)[:, None], axis=0)
        self._gap.assign(self._gap + ops.cast(gap, self.dtype))
        self._total.assign(self._total + ops.cast(ops.sum(batch.weights), self.dtype))

    def result(self) -> Any:
        """Return the error, from 0 to 1."""
        return _ratio(ops.sum(ops.abs(self._gap)), self._total)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this metric."""
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "from_logits": self.from_logits,
        }


# What a task may name these metrics; they take from_logits as the task's loss does.
METRICS: dict[str, Callable[..., Any]] = {
    "f1": F1,
    "f1_macro": partial(F1, "macro", name="f1_macro"),
    "f1_micro": partial(F1, "micro", name="f1_micro"),
    "confusion_matrix": ConfusionMatrix,
    "expected_calibration_error": ExpectedCalibrationError,
    "ece": partial(ExpectedCalibrationError, name="ece"),
}


def _batch(y_true: Any, y_pred: Any, sample_weight: Any, from_logits: bool) -> _Batch:
    """Bring targets, scores and weights of any of the shapes that are taken to (M,) and (M, C)."""
    mask = getattr(y_pred, "_keras_mask", None)
    y_true = ops.convert_to_tensor(y_true)
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    if len(y_pred.shape) == 1:
        y_pred = ops.expand_dims(y_pred, -1)
    num_classes = y_pred.shape[-1]
    # One weight for each place at which there is a label: the axis of the classes is gone.
    weights = ops.ones_like(y_pred[..., 0])
    for factor in (sample_weight, mask):
        if factor is not None:
            weights = weights * _of_rank(factor, len(weights.shape))
    one_hot = len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == num_classes > 1
    labels = ops.argmax(y_true, axis=-1) if one_hot else y_true
    scores = ops.reshape(y_pred, (-1, num_classes))
    if num_classes == 1:
        scores = ops.sigmoid(scores) if from_logits else scores
        scores = ops.concatenate([1.0 - scores, scores], axis=-1)
    elif from_logits:
        scores = ops.softmax(scores, axis=-1)
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return _Batch(labels, scores, ops.reshape(weights, (-1,)), num_classes == 1)


def _of_rank(factor: Any, rank: int) -> Any:
    factor = ops.cast(ops.convert_to_tensor(factor), "float32")
    while len(factor.shape) > rank:
        factor = ops.squeeze(factor, -1)
    while len(factor.shape) < rank:
        factor = ops.expand_dims(factor, -1)
    return factor


def _confusion(batch: _Batch, threshold: float) -> Any:
    """Return the weights of all pairs of true and predicted class, shape (C, C)."""
    num_classes = batch.scores.shape[-1]
    if batch.is_single:
        said = ops.cast(batch.scores[:, 1] > threshold, "int32")
    else:
        said = _classes(batch.scores)
    true = ops.one_hot(batch.labels, num_classes) * batch.weights[:, None]
    return ops.matmul(ops.transpose(true), ops.one_hot(said, num_classes))


def _classes(scores: Any) -> Any:
    return ops.cast(ops.argmax(scores, axis=-1), "int32")


def _zeros(metric: keras.metrics.Metric, name: str, shape: Any) -> Any:
    return metric.add_variable(shape=tuple(shape), initializer="zeros", name=name)


def _ratio(part: Any, whole: Any) -> Any:
    return ops.divide_no_nan(part, whole)
