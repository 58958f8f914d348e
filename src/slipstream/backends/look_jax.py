"""Looking into a model on JAX: functions of its values, which have no side effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends._look import Values, flat, untouched
from slipstream.data.splits import Arrays


def open_looker(model: Any) -> JaxLooker:
    """Return what looks into a compiled, built model."""
    return JaxLooker(model)


def start_profile(folder: Path) -> Callable[[], None]:
    """Begin to profile; returns what ends it and writes `plugins/profile` in the folder."""
    jax.profiler.start_trace(str(folder))
    stop: Callable[[], None] = jax.profiler.stop_trace
    return stop


@final
class JaxLooker:
    """See `slipstream.backends.Looker`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._value = jax.jit(self._loss, static_argnames="training")
        self._differentiate = jax.jit(
            jax.value_and_grad(self._scaled, has_aux=True), static_argnames="training"
        )
        self._product = jax.jit(self._hessian_product)
        self._callers: dict[int, Any] = {}

    def loss(self, batch: Arrays) -> float:
        return float(self._value(*self._state(), batch, training=False))

    def gradient(
        self, batch: Arrays, *, training: bool, scale: float = 1.0
    ) -> tuple[float, Values]:
        (_, loss), gradients = self._differentiate(
            *self._state(), batch, np.float32(scale), training=training
        )
        return float(loss), [_number(gradient) / np.float32(scale) for gradient in gradients]

    def hessian_product(self, batch: Arrays, vector: Sequence[NDArray[Any]]) -> Values:
        trainable, others, metrics = self._state()
        directions = [
            np.asarray(part, value.dtype) for part, value in zip(vector, trainable, strict=True)
        ]
        return [
            _number(part) for part in self._product(trainable, others, metrics, batch, directions)
        ]

    def outputs(self, model: Any, x: Any, *, training: bool) -> list[NDArray[Any]]:
        if id(model) not in self._callers:
            self._callers[id(model)] = (model, _caller(model))
        _, call = self._callers[id(model)]
        with untouched(model):
            return [np.asarray(out) for out in call(_values(model.variables), x, training=training)]

    def _state(self) -> tuple[list[Any], list[Any], list[Any]]:
        model = self._model
        return (
            _values(model.trainable_variables),
            _values(model.non_trainable_variables),
            _values(model.metrics_variables),
        )

    def _loss(
        self, trainable: Any, others: Any, metrics: Any, batch: Arrays, *, training: bool
    ) -> Any:
        _, (loss, *_) = self._model.compute_loss_and_updates(
            trainable,
            others,
            metrics,
            *batch,
            training=training,
            optimizer_variables=_values(self._model.optimizer.variables),
        )
        return loss

    def _scaled(
        self,
        trainable: Any,
        others: Any,
        metrics: Any,
        batch: Arrays,
        scale: Any,
        *,
        training: bool,
    ) -> tuple[Any, Any]:
        loss = self._loss(trainable, others, metrics, batch, training=training)
        return loss * scale, loss

    def _hessian_product(
        self, trainable: Any, others: Any, metrics: Any, batch: Arrays, vector: Any
    ) -> Any:
        def gradient(values: Any) -> Any:
            return jax.grad(lambda w: self._loss(w, others, metrics, batch, training=False))(values)

        return jax.jvp(gradient, (trainable,), (vector,))[1]


def _caller(model: Any) -> Any:
    def call(values: Any, x: Any, *, training: bool) -> list[Any]:
        mapping = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return flat(model(x, training=training))

    return jax.jit(call, static_argnames="training")


def _values(variables: Sequence[Any]) -> list[Any]:
    return [variable.value for variable in variables]


def _number(array: Any) -> NDArray[np.float32]:
    return np.asarray(array).astype(np.float32)
