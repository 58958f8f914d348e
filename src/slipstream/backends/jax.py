"""Stepping a Keras model on JAX: state as donated arrays, many updates in one call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from slipstream.backends._protocol import scalars
from slipstream.data.splits import Arrays, Split, leaves, map_arrays

# What Keras' JAX trainer calls a state: trainable, non-trainable, optimizer and metric variables.
KerasState = tuple[list[Any], list[Any], list[Any], list[Any]]


def open_program(model: Any, *, jit: bool) -> JaxProgram:
    """Return the program of a compiled, built model; JAX always compiles."""
    del jit
    return JaxProgram(model)


@final
class JaxProgram:
    """See `slipstream.backends.Program`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._placed: Arrays = None
        rate = getattr(model.optimizer, "inner_optimizer", model.optimizer)._learning_rate
        # None where the rate is a Keras schedule: such a model is only evaluated here.
        self._rate_index = next(
            (i for i, variable in enumerate(model.optimizer.variables) if variable is rate), None
        )
        self._run = jax.jit(self._run_block, donate_argnums=0)
        self._test = jax.jit(model.test_step, donate_argnums=())
        self._gradients = jax.jit(self._micro_batch)
        self._apply = jax.jit(self._apply_gradients, donate_argnums=0)
        model.reset_metrics()
        self._fresh_metrics = [variable.value for variable in model.metrics_variables]
        self._state: KerasState = _copied(self._read_state())

    def place(self, split: Split) -> None:
        self._placed = map_arrays(jnp.asarray, split.parts())

    def train(self, block: Arrays, rates: NDArray[np.float32], count: int) -> None:
        self._state = self._run(self._state, block, rates, np.int32(count), self._placed)

    def train_ragged(self, batches: Sequence[Arrays], rate: float) -> None:
        if len(batches) == 1:
            # Through the model's own train_step, like any other update.
            block = map_arrays(lambda array: array[None, None], batches[0])
            rates, count = np.full(1, rate, np.float32), np.int32(1)
            self._state = self._run(self._state, block, rates, count, None)
            return
        total = sum(_num_examples(batch) for batch in batches)
        gradients = None
        for batch in batches:
            share = np.float32(_num_examples(batch) / total)
            self._state, gradients = self._gradients(self._state, batch, share, gradients)
        self._state = self._apply(self._state, gradients, np.float32(rate))

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        trainable, others, _, _ = self._read_state()
        metrics = self._fresh_metrics
        logs: dict[str, Any] = {}
        for batch in batches:
            logs, (_, _, metrics) = self._test((trainable, others, metrics), batch)
        return scalars(logs)

    def read_metrics(self) -> dict[str, float]:
        model = self._model
        for variable, value in zip(model.metrics_variables, self._state[3], strict=True):
            variable.assign(value)
        values = scalars(model.get_metrics_result())
        self._state = (*self._state[:3], _copied([self._fresh_metrics])[0])
        return values

    def synchronize(self) -> None:
        jax.block_until_ready(self._state)
        model = self._model
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
        )
        for variables, values in zip(groups, self._state, strict=False):
            for variable, value in zip(variables, values, strict=True):
                # A copy, because the next call gives the original away.
                variable.assign(jnp.array(value))

    def resume(self) -> None:
        trainable, others, optimizer, _ = _copied(self._read_state())
        self._state = (trainable, others, optimizer, self._state[3])

    def _read_state(self) -> KerasState:
        model = self._model
        return (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
            [variable.value for variable in model.optimizer.variables],
            [variable.value for variable in model.metrics_variables],
        )

    def _run_block(
        self, state: KerasState, block: Arrays, rates: Any, count: Any, placed: Arrays
    ) -> KerasState:
        num_updates, num_micro_batches = next(leaves(block)).shape[:2]

        def one_update(index: Any, state: KerasState) -> KerasState:
            chosen = map_arrays(lambda array: array[index], block)
            if num_micro_batches == 1:
                batch = _gather(map_arrays(lambda array: array[0], chosen), placed)
                _, new_state = self._model.train_step(self._with_rate(state, rates[index]), batch)
                return tuple(new_state)
            gradients = None
            for micro in range(num_micro_batches):
                batch = _gather(map_arrays(lambda array, m=micro: array[m], chosen), placed)  # type: ignore[misc]
                share = 1.0 / num_micro_batches
                state, gradients = self._micro_batch(state, batch, share, gradients)
            return self._apply_gradients(state, gradients, rates[index])

        if num_updates == 1:
            return one_update(0, state)
        # A loop with a dynamic end runs short blocks too, without compiling anew.
        return jax.lax.fori_loop(0, count, one_update, state)  # type: ignore[no-any-return]

    def _micro_batch(
        self, state: KerasState, batch: Arrays, share: Any, gradients: Any
    ) -> tuple[KerasState, Any]:
        model = self._model
        trainable, others, optimizer, metrics = state
        differentiate = jax.value_and_grad(
            partial(model.compute_loss_and_updates, training=True), has_aux=True
        )
        (_, aux), new = differentiate(
            trainable, others, metrics, *batch, optimizer_variables=optimizer
        )
        loss, predictions, others, metrics = aux
        x, y, weights = batch
        _, metrics = model._update_metrics_variables(metrics, loss, x, y, predictions, weights)
        new = [gradient * share for gradient in new]
        if gradients is not None:
            new = [old + gradient for old, gradient in zip(gradients, new, strict=True)]
        return (trainable, others, optimizer, metrics), new

    def _apply_gradients(self, state: KerasState, gradients: Any, rate: Any) -> KerasState:
        trainable, others, optimizer, metrics = self._with_rate(state, rate)
        trainable, optimizer = self._model.optimizer.stateless_apply(
            optimizer, gradients, trainable
        )
        return trainable, others, optimizer, metrics

    def _with_rate(self, state: KerasState, rate: Any) -> KerasState:
        trainable, others, optimizer, metrics = state
        assert self._rate_index is not None
        optimizer = list(optimizer)
        old = optimizer[self._rate_index]
        optimizer[self._rate_index] = jnp.asarray(rate, old.dtype)
        return trainable, others, optimizer, metrics


def _gather(chosen: Arrays, placed: Arrays) -> Arrays:
    """Return the batch: the block's own arrays, or the placed examples that it points at."""
    if placed is None:
        return chosen
    return map_arrays(lambda array: jnp.take(array, chosen, axis=0), placed)


def _num_examples(batch: Arrays) -> int:
    return len(next(leaves(batch)))


def _copied(groups: Any) -> Any:
    # Donated arrays must not be those that Keras' variables hold.
    return tuple([jnp.array(value) for value in values] for values in groups)
