"""Metrics on Keras' own variables, updated natively where they are among the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import keras
import torch
from keras.src.metrics.reduction_metrics import Mean, MeanMetricWrapper

from slipstream.backends.torch import Seen
from slipstream.lowering._loss_reduce import masked_weights
from slipstream.lowering._loss_values import same_rank
from slipstream.lowering._metric_values import Values, squared_errors, values_of

Tensor = torch.Tensor
# From targets, predictions and sample weights to the metric's variables.
Update = Callable[[Any, Any, Any], None]


@final
class NativeMetrics:
    """Adds batches to the loss tracker and to the compiled metrics, as `Model.train_step` does.

    Nothing is fetched from the device: values are computed when somebody looks.

    Args:
        model: A compiled, built model.
        keras_track: What Keras itself does, from a batch and its loss.
    """

    def __init__(self, model: Any, keras_track: Callable[[Seen, Tensor], None]) -> None:
        self._model = model
        self._keras_track = keras_track
        self._compiled: Any = None
        self._updates: _Updates | None = None
        self._tracks_mean = type(model._loss_tracker) is Mean

    def __call__(self, seen: Seen, loss: Tensor) -> None:
        compiled = self._model._compile_metrics
        is_usual = self._tracks_mean and loss.ndim == 0
        if not is_usual or (compiled is not None and not compiled.built):
            self._keras_track(seen, loss)
            return
        num_examples = seen.num_examples
        tracker = self._model._loss_tracker
        tracker.total._value.add_(loss, alpha=num_examples)
        tracker.count._value.add_(num_examples)
        if compiled is None:
            return
        if compiled is not self._compiled:
            self._compiled, self._updates = compiled, _Updates(compiled)
        assert self._updates is not None
        self._updates(seen)


def left_to_keras(model: Any) -> tuple[str, ...]:
    """Return the names of the compiled metrics that have no native form."""
    compiled = model._compile_metrics
    if compiled is None or not compiled.built:
        return ()
    return tuple(str(metric.name) for metric in compiled.metrics if not callable(of_metric(metric)))


@final
class _Updates:
    """The updates of all compiled metrics, output by output."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._plain = [_updates(metrics) for metrics in compiled._flat_metrics]
        self._weighted = [_updates(metrics) for metrics in compiled._flat_weighted_metrics]
        self._has_weighted = any(self._weighted)

    def __call__(self, seen: Seen) -> None:
        y_true, y_pred = self._flat(seen.y), self._flat(seen.predictions)
        for updates, true, pred in zip(self._plain, y_true, y_pred, strict=False):
            for update in updates:
                update(true, pred, None)
        if not self._has_weighted:
            return
        weights = [None] * len(y_true) if seen.weights is None else self._flat(seen.weights)
        if len(weights) < len(y_true):
            # One for all outputs.
            weights = [weights[0]] * len(y_true)
        for updates, true, pred, weight in zip(
            self._weighted, y_true, y_pred, weights, strict=False
        ):
            for update in updates:
                update(true, pred, weight)

    def _flat(self, nest: Any) -> Sequence[Any]:
        if isinstance(nest, Tensor):
            return (nest,)
        flat: Sequence[Any] = self._compiled._flatten_y(nest)
        return flat


def _updates(metrics: Any) -> list[Update]:
    chosen: Iterable[Any] = metrics.metrics if metrics else ()
    return [_update_of(metric) for metric in chosen]


def _update_of(metric: Any) -> Update:
    native = of_metric(metric)
    return metric.update_state if isinstance(native, str) else native


def of_metric(metric: Any) -> Update | str:
    """Return the native form of one of Keras' metrics, or why there is none."""
    name = str(metric.name)
    if metric.dtype != "float32" or "update_state" in vars(metric):
        return f"{name} has no native form as it is set"
    values: Values | None = None
    counts_masks = True
    is_wrapper = isinstance(metric, MeanMetricWrapper)
    if type(metric) is keras.metrics.RootMeanSquaredError:
        values, counts_masks = squared_errors, False
    elif is_wrapper and type(metric).update_state is MeanMetricWrapper.update_state:
        values = values_of(metric._fn, metric._fn_kwargs)
    if values is None:
        return f"{name} has no native form"
    chosen_values = values

    def update(y_true: Any, y_pred: Any, weights: Any) -> None:
        found = None
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            usual = y_pred.dtype == torch.float32
            found = chosen_values(y_true, y_pred) if usual else None
        if found is None:
            metric.update_state(y_true, y_pred, weights)
            return
        mask = getattr(y_pred, "_keras_mask", None) if counts_masks else None
        if weights is None and mask is None:
            _add_plain(metric, found)
        else:
            _add_weighted(metric, found, masked_weights(weights, mask, spread=False))

    return update


def _add_plain(metric: Any, values: Tensor) -> None:
    if values.ndim == 0:
        total, count = values, 1
    else:
        count = len(values)
        # The mean over all axes but the first, then the sum.
        total = values.sum()
        if values.ndim > 1:
            total = total * (count / values.numel())
    metric.total._value.add_(total)
    metric.count._value.add_(count)


def _add_weighted(metric: Any, values: Tensor, weights: Tensor | None) -> None:
    """Add what `keras.metrics.Mean` adds: weighted values, and as many as the weights say."""
    assert weights is not None
    values, weights = same_rank(values.to(torch.float32), weights)
    rank = weights.ndim
    if values.ndim > rank:
        values = values.mean(tuple(range(rank, values.ndim)))
    weights = weights.broadcast_to(values.shape)
    values = values * weights
    if rank > 1:
        weights = weights.mean(tuple(range(1, rank)))
    if values.ndim > 1:
        values = values.mean(tuple(range(1, values.ndim)))
    metric.total._value.add_(values.sum())
    metric.count._value.add_(weights.sum())
