"""Looking into a model on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from slipstream.backends._look import Values, flat, untouched
from slipstream.data.splits import Arrays, map_arrays


def open_looker(model: Any) -> TensorflowLooker:
    """Return what looks into a compiled, built model."""
    return TensorflowLooker(model)


def start_profile(folder: Path) -> Callable[[], None]:
    """Begin to profile; returns what ends it and writes `plugins/profile` in the folder."""
    tf.profiler.experimental.start(str(folder))
    stop: Callable[[], None] = tf.profiler.experimental.stop
    return stop


@final
class TensorflowLooker:
    """See `slipstream.backends.Looker`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # Called again and again by a landscape: traced once.
        convert = tf.autograph.experimental.do_not_convert
        self._value = tf.function(convert(lambda batch: self._loss(batch, training=False)))
        self._product = tf.function(convert(self._hessian_product))

    def loss(self, batch: Arrays) -> float:
        with untouched(self._model):
            return float(self._value(map_arrays(tf.convert_to_tensor, batch)))

    def gradient(
        self, batch: Arrays, *, training: bool, scale: float = 1.0
    ) -> tuple[float, Values]:
        variables = self._variables()
        with untouched(self._model), tf.GradientTape() as tape:
            loss = self._loss(map_arrays(tf.convert_to_tensor, batch), training=training)
            scaled = loss * tf.cast(scale, loss.dtype)
        gradients = tape.gradient(scaled, variables)
        return float(loss), [
            _number(gradient, variable) / np.float32(scale)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def hessian_product(self, batch: Arrays, vector: Sequence[NDArray[Any]]) -> Values:
        variables = self._variables()
        directions = [
            tf.constant(part, variable.dtype)
            for part, variable in zip(vector, variables, strict=True)
        ]
        with untouched(self._model):
            products = self._product(map_arrays(tf.convert_to_tensor, batch), directions)
        return [np.asarray(product, np.float32) for product in products]

    def outputs(self, model: Any, x: Any, *, training: bool) -> list[NDArray[Any]]:
        with untouched(model):
            outputs = model(map_arrays(tf.convert_to_tensor, x), training=training)
        return [np.asarray(out) for out in flat(outputs)]

    def _variables(self) -> list[Any]:
        return [variable.value for variable in self._model.trainable_variables]

    def _loss(self, batch: Any, *, training: bool) -> Any:
        x, y, weights = batch
        predictions = self._model(x, training=training)
        return self._model._compute_loss(x, y, predictions, weights, training=training)

    def _hessian_product(self, batch: Any, vector: Sequence[Any]) -> list[Any]:
        variables = self._variables()
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = self._loss(batch, training=False)
            gradients = inner.gradient(loss, variables)
            product = tf.add_n(
                [
                    tf.reduce_sum(tf.convert_to_tensor(gradient) * part)
                    for gradient, part in zip(gradients, vector, strict=True)
                    if gradient is not None
                ]
            )
        products = outer.gradient(product, variables)
        return [
            tf.zeros_like(variable) if value is None else tf.convert_to_tensor(value)
            for value, variable in zip(products, variables, strict=True)
        ]


def _number(gradient: Any, variable: Any) -> NDArray[np.float32]:
    if gradient is None:
        return np.zeros(variable.shape, np.float32)
    return np.asarray(tf.cast(tf.convert_to_tensor(gradient), tf.float32))
