"""What each micro-batch of an update counts, where that is not its share of the examples.

Keras divides a loss by what it is a mean over: all values, or those that a mask lets through, or
the weights. Micro-batches are added up by their share of the examples, which is right for the
first alone; for the others each loss is multiplied by what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import keras
from keras import ops
from keras.src.backend import get_keras_mask
from keras.src.losses.loss import squeeze_or_expand_to_same_rank

from slipstream.backends._overrides import overrides
from slipstream.data.splits import Arrays

# What each loss of a micro-batch is divided by, loss by loss; None where it is a sum.
Counts = list[Any]


@final
class ScaledLoss:
    """A compiled loss times a factor; called as Keras calls it.

    Args:
        loss: The loss.
        factor: The factor, a number or a scalar tensor.
    """

    def __init__(self, loss: Any, factor: Any) -> None:
        self._loss = loss
        self.factor = factor

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        value = self._loss(y_true, y_pred, sample_weight)
        return ops.multiply(value, ops.cast(self.factor, value.dtype))


def factor_of(compiled: Any, place: int) -> Any:
    """Return what a loss of a compiled loss is multiplied by now; None where it is nothing."""
    return getattr(compiled._flat_losses[place].loss, "factor", None)


@final
class Shares:
    """Makes the losses of micro-batches add up to the loss of all their examples.

    Args:
        model: A compiled, built model, its compiled loss built too.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def counts(self, batch: Arrays, predictions: Any) -> Counts:
        """Return what each loss of a micro-batch is divided by.

        Args:
            batch: Inputs, targets and sample weights.
            predictions: What the model makes of the inputs; only its masks count.
        """
        _, y, weights = batch
        found: Counts = []

        def counting(place: int, loss: Any) -> Any:
            del place

            def count(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
                found.append(_divisor(loss, y_true, y_pred, sample_weight))
                return ops.zeros(())

            return count

        # Keras finds out which targets belong to which output; what it tracks is thrown away.
        with keras.StatelessScope(), self._changed(counting):
            self._model._compile_loss(y, predictions, weights)
        return found

    @contextmanager
    def applied(self, factors: Sequence[Any] | None) -> Iterator[None]:
        """Within it each compiled loss is multiplied by its factor; by nothing if None."""
        if factors is None:
            yield
            return
        with self._changed(lambda place, loss: ScaledLoss(loss, factors[place])):
            yield

    @contextmanager
    def _changed(self, change: Callable[[int, Any], Any]) -> Iterator[None]:
        compiled = self._model._compile_loss
        plain = compiled._flat_losses
        compiled._flat_losses = [
            entry._replace(loss=change(place, entry.loss)) for place, entry in enumerate(plain)
        ]
        try:
            yield
        finally:
            compiled._flat_losses = plain


def factors_of(counts: Sequence[Counts], sizes: Sequence[int]) -> list[list[Any]]:
    """Return by what each loss of each micro-batch is multiplied.

    factor = (count / sum of counts) / (examples / sum of examples), and 1 / the second for a sum

    Args:
        counts: For each micro-batch, what each of its losses is divided by.
        sizes: The examples of each micro-batch.

    Example:
        >>> [[float(f) for f in row] for row in factors_of([[3.0], [1.0]], [2, 2])]
        [[1.5], [0.5]]
    """
    totals = [
        None if row[0] is None else ops.maximum(sum(row), 1e-30)
        for row in zip(*counts, strict=True)
    ]
    return [
        [
            sum(sizes) / size if total is None else count / total * (sum(sizes) / size)
            for count, total in zip(row, totals, strict=True)
        ]
        for row, size in zip(counts, sizes, strict=True)
    ]


def shares_of(model: Any, few: Arrays) -> Shares | None:
    """Return what makes micro-batches add up; None where their shares of the examples do.

    Args:
        model: A compiled, built model, its compiled loss built too.
        few: Inputs, targets and sample weights of a few examples.
    """
    compiled = getattr(model, "_compile_loss", None)
    if compiled is None or not compiled.built:
        return None
    if overrides(model, "compute_loss") or overrides(model, "_compute_loss"):
        # What its own loss is a mean over is its own affair.
        return None
    losses = [entry.loss for entry in compiled._flat_losses]
    if any(_is_uneven(loss) for loss in losses) or _masks_outputs(model, few[0]):
        return Shares(model)
    return None


def _is_uneven(loss: Any) -> bool:
    plain = getattr(loss, "ignore_class", None) is None
    return not plain or getattr(loss, "reduction", None) in ("sum", "mean_with_sample_weight")


def _masks_outputs(model: Any, x: Arrays) -> bool:
    if not any(_may_mask(layer) for layer in model._flatten_layers()):
        return False
    outputs = keras.tree.flatten(model(x, training=False))
    return any(get_keras_mask(output) is not None for output in outputs)


def _may_mask(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
        return True
    of_keras = type(layer).__module__.startswith("keras.")
    return not of_keras and type(layer).compute_mask is not keras.layers.Layer.compute_mask


def _divisor(loss: Any, y_true: Any, y_pred: Any, weights: Any) -> Any:
    """Return what a loss is divided by, up to a factor that all micro-batches share."""
    reduction = getattr(loss, "reduction", "sum_over_batch_size")
    if reduction == "sum":
        return None
    kept = _kept(loss, y_true, y_pred)
    if reduction == "mean_with_sample_weight" and weights is not None:
        weights = ops.cast(weights, "float32")
        if kept is not None:
            kept, weights = squeeze_or_expand_to_same_rank(kept, weights)
            weights = weights * kept
        return ops.sum(weights)
    return float(y_pred.shape[0]) if kept is None else ops.sum(kept)


def _kept(loss: Any, y_true: Any, y_pred: Any) -> Any:
    """Return 1 where a value counts and 0 where it does not; None where all count."""
    mask = get_keras_mask(y_pred)
    ignored = getattr(loss, "ignore_class", None)
    kept = None if mask is None else ops.cast(mask, "float32")
    if ignored is None:
        return kept
    labels = ops.convert_to_tensor(y_true)
    if len(labels.shape) == len(y_pred.shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, axis=-1)
    valid = ops.cast(ops.not_equal(labels, ops.cast(ignored, labels.dtype)), "float32")
    return valid if kept is None else valid * kept
