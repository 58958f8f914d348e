"""Stepping a Keras model on JAX: state as donated arrays, many updates in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends._jax_arrays import (
    KerasState,
    assign,
    convolves,
    copied,
    distinct,
    fetched,
    place_of,
    values_of,
)
from slipstream.backends._preparation import batches_of, judged, prepared
from slipstream.backends._protocol import loss_rows, loss_tracker, scalars, step_values
from slipstream.backends._settings import PLAIN, StepSettings
from slipstream.backends._shares import factors_of
from slipstream.data.splits import Arrays, Split, leaves, map_arrays


def open_program(model: Any, *, jit: bool, settings: StepSettings = PLAIN) -> JaxProgram:
    """Return the program of a compiled, built model.

    Args:
        model: The model.
        jit: Means nothing here: JAX always compiles.
        settings: What its steps do beyond one gradient.
    """
    del jit
    return JaxProgram(model, settings)


@final
class JaxProgram:
    """See `slipstream.backends.Program`.

    The state is in one place at a time. While the program runs it gives Keras' own arrays away
    and the variables, those of the metrics included, are not to be read; `synchronize` puts the new
    ones into the variables, from where the next call takes them. So nothing is held twice, and what
    somebody changed in between counts.
    """

    def __init__(self, model: Any, settings: StepSettings = PLAIN) -> None:
        self._model = model
        self._preparation = settings.preparation
        self._mixes = settings.mixes
        self._prepared = jax.jit(partial(prepared, preparation=settings.preparation))
        self._sharpness = settings.sharpness
        self._shares = settings.shares
        self._overflows = settings.overflows
        self._placed: Arrays = None
        rate = getattr(model.optimizer, "inner_optimizer", model.optimizer)._learning_rate
        # None where the rate is a Keras schedule: such a model keeps its own rate.
        self._rate_index = next(
            (i for i, variable in enumerate(model.optimizer.variables) if variable is rate), None
        )
        self._one = jax.jit(self._update_alone, donate_argnums=0)
        self._many = jax.jit(self._many_updates, donate_argnums=0)
        self._loops_well: bool | None = None
        self._test = jax.jit(model.test_step, donate_argnums=())
        self._gradients = jax.jit(self._micro_batch, donate_argnums=0)
        self._apply = jax.jit(self._apply_gradients, donate_argnums=0)
        self._sharp = jax.jit(self._worst_nearby, donate_argnums=0)
        self._count = jax.jit(self._counts)
        self._results = jax.jit(self._metric_results)
        self._variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        self._metrics_variables = model.metrics_variables
        # Where the loss tracker's sum and number stand among them, if updates tell their losses.
        tracker = loss_tracker(model) if settings.tells_losses else None
        self._tracked = tracker and [place_of(self._metrics_variables, one) for one in tracker]
        # States of the tracker around the updates of each call, and how many are meant.
        self._told: list[tuple[Any, int]] = []
        self._tell = jax.jit(self._losses)
        model.reset_metrics()
        self._fresh_metrics = copied(values_of(self._metrics_variables))
        # What the last update returned, where it was made alone.
        self._logs: dict[str, Any] | None = None
        # None while the state is in Keras' variables.
        self._state: KerasState | None = None

    def place(self, split: Split | None) -> None:
        self._placed = map_arrays(jnp.asarray, split.parts() if split else None)

    def train(self, block: Arrays, rates: NDArray[np.float32] | None, count: int) -> None:
        state = self._taken_state()
        self._logs = None
        if len(next(leaves(block))) > 1 and self._can_loop(state, block, rates):
            self._state, told = self._many(state, block, rates, np.int32(count), self._placed)
            self._note(told, count)
            return
        for index in range(count):
            update = map_arrays(lambda array, i=index: array[i], block)  # type: ignore[misc]
            rate = None if rates is None else rates[index]
            state, self._logs, told = self._one(state, update, rate, self._placed)
            self._state = state
            self._note(told, 1)

    def train_ragged(self, batches: Sequence[Arrays], rate: float | None) -> None:
        state = self._taken_state()
        at = None if rate is None else np.float32(rate)
        if len(batches) == 1 and not self._sharpness:
            # Through the model's own train_step, like any other update.
            update = map_arrays(lambda array: array[None], batches[0])
            self._state, self._logs, told = self._one(state, update, at, None)
            self._note(told, 1)
            return
        before = self._tell(state) if self._tracked else None
        self._train_parts(state, batches, at)
        if before is not None:
            self._note(np.stack([before, self._tell(self._state)]), 1)

    def _train_parts(self, state: KerasState, batches: Sequence[Arrays], at: Any) -> None:
        self._logs = None
        if self._preparation is not None:
            batches = [self._prepared(batch) for batch in batches]
        total = sum(_num_examples(batch) for batch in batches)
        if self._sharpness:
            shares = [np.float32(_num_examples(batch) / total) for batch in batches]
            self._state = self._sharp(state, list(batches), shares, at)
            return
        gradients = None
        factors = self._factors(state, batches, self._count)
        for batch, own in zip(batches, factors, strict=True):
            share = np.float32(_num_examples(batch) / total)
            self._state, gradients = self._gradients(state, batch, share, gradients, own)
            state = self._state
        self._state = self._apply(state, gradients, at)

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        self.synchronize()
        trainable, others, _, _ = map(values_of, self._variables)
        metrics = self._fresh_metrics
        logs: dict[str, Any] = {}
        for batch in batches:
            logs, (_, _, metrics) = self._test((trainable, others, metrics), batch)
        return scalars(logs)

    def peek_metrics(self) -> dict[str, float]:
        metrics = values_of(self._metrics_variables) if self._state is None else self._state[3]
        return scalars(fetched(self._results(metrics)))

    def step_logs(self) -> dict[str, float]:
        return self.peek_metrics() if self._logs is None else scalars(fetched(self._logs))

    def read_metrics(self) -> dict[str, float]:
        values = self.peek_metrics()
        self._logs = None
        fresh = copied(self._fresh_metrics)
        if self._state is None:
            assign(self._metrics_variables, fresh)
        else:
            self._state = (*self._state[:3], fresh)
        return values

    def read_losses(self) -> NDArray[np.float64]:
        told, self._told = self._told, []
        return loss_rows([np.asarray(states)[: count + 1] for states, count in told])

    def _note(self, told: Any, count: int) -> None:
        if told is not None:
            self._told.append((told, count))

    def is_idle(self) -> bool:
        values = [value for group in self._state or () for value in group]
        # What comes of one call is ready at one time.
        return not values or bool(values[-1].is_ready())

    def settle(self) -> None:
        jax.block_until_ready(self._state)

    def synchronize(self) -> None:
        if self._state is None:
            return
        groups = jax.block_until_ready(self._state)
        self._state = None
        for variables, values in zip(self._variables, groups, strict=True):
            assign(variables, values)

    def resume(self) -> None:
        self._state = None

    def _taken_state(self) -> KerasState:
        """Return the state, taken from Keras' variables where it is there."""
        if self._state is not None:
            return self._state
        trainable, others, optimizer, metrics = map(values_of, self._variables)
        return distinct((trainable, others, optimizer, metrics))

    def _can_loop(self, state: KerasState, block: Arrays, rates: Any) -> bool:
        """Whether updates are made in a loop that is compiled, not one call each.

        XLA's loops on the processor run convolutions without their fast kernels: an order of
        magnitude slower, and they compile for minutes.
        """
        if self._loops_well is None:
            traced = self._many.trace(state, block, rates, np.int32(1), self._placed)
            on_processor = jax.default_backend() == "cpu"
            self._loops_well = not (on_processor and convolves(traced.jaxpr.jaxpr))
        return self._loops_well

    def _many_updates(
        self, state: KerasState, block: Arrays, rates: Any, count: Any, placed: Arrays
    ) -> tuple[KerasState, Any]:
        def one_update(index: Any, carried: tuple[KerasState, Any]) -> tuple[KerasState, Any]:
            state, told = carried
            update = map_arrays(lambda array: array[index], block)
            rate = None if rates is None else rates[index]
            state, _ = self._one_update(state, update, rate, placed)
            return state, told if told is None else told.at[index + 1].set(self._losses(state))

        told = None
        if self._tracked:
            first = self._losses(state)
            told = jnp.zeros((len(next(leaves(block))) + 1, 2), first.dtype).at[0].set(first)
        # A loop with a dynamic end runs short blocks too, without compiling anew.
        return jax.lax.fori_loop(  # type: ignore[no-any-return]
            0, count, one_update, (state, told)
        )

    def _update_alone(
        self, state: KerasState, update: Arrays, rate: Any, placed: Arrays
    ) -> tuple[KerasState, dict[str, Any] | None, Any]:
        new, logs = self._one_update(state, update, rate, placed)
        told = jnp.stack([self._losses(state), self._losses(new)]) if self._tracked else None
        return new, logs, told

    def _losses(self, state: KerasState) -> Any:
        """Return the loss tracker's sum and number, shape (2,)."""
        assert self._tracked is not None
        return jnp.stack([state[3][place] for place in self._tracked])

    def _one_update(
        self, state: KerasState, update: Arrays, rate: Any, placed: Arrays
    ) -> tuple[KerasState, dict[str, Any] | None]:
        batches = batches_of(update, partial(_gather, placed=placed), self._preparation)
        num_micro_batches = len(batches)
        if self._sharpness:
            shares = [np.float32(1.0 / num_micro_batches)] * num_micro_batches
            return self._worst_nearby(state, batches, shares, rate), None
        if num_micro_batches == 1 and not self._mixes:
            logs, new_state = self._model.train_step(self._with_rate(state, rate), batches[0])
            *learned, metrics = new_state
            return (*learned, self._measured(state[3], metrics)), step_values(logs)
        even = [1.0 / num_micro_batches] * num_micro_batches
        state, gradients = self._summed(state, batches, even)
        return self._apply_gradients(state, gradients, rate), None

    def _factors(
        self, state: KerasState, batches: Sequence[Arrays], count: Callable[..., Any]
    ) -> list[list[Any] | None]:
        """Return by what each loss of each micro-batch is multiplied, or None for nothing."""
        if self._shares is None or len(batches) == 1:
            return [None] * len(batches)
        counts = [count(state, batch) for batch in batches]
        return [*factors_of(counts, [_num_examples(batch) for batch in batches])]

    def _counts(self, state: KerasState, batch: Arrays) -> list[Any]:
        assert self._shares is not None
        # Of this pass nothing but the masks is used: the compiler leaves out the rest.
        predictions, _ = self._model.stateless_call(*state[:2], batch[0], training=False)
        return self._shares.counts(batch, predictions)

    def _measured(self, before: list[Any], after: list[Any]) -> list[Any]:
        """Return the metrics after a batch; those before it, where an overflow got into them."""
        if not self._overflows:
            return after
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in after]))
        return [jnp.where(finite, new, old) for old, new in zip(before, after, strict=True)]

    def _micro_batch(
        self,
        state: KerasState,
        batch: Arrays,
        share: Any,
        gradients: Any,
        factors: list[Any] | None = None,
    ) -> tuple[KerasState, Any]:
        model = self._model
        trainable, others, optimizer, metrics = state
        before = metrics
        differentiate = jax.value_and_grad(
            partial(model.compute_loss_and_updates, training=True), has_aux=True
        )
        with self._shares.applied(factors) if self._shares else nullcontext():
            (_, aux), new = differentiate(
                trainable, others, metrics, *batch, optimizer_variables=optimizer
            )
        loss, predictions, others, metrics = aux
        x, y, weights = batch
        labels = judged(y, self._preparation)
        _, metrics = model._update_metrics_variables(metrics, loss, x, labels, predictions, weights)
        metrics = self._measured(before, metrics)
        new = [gradient * share for gradient in new]
        if gradients is not None:
            new = [old + gradient for old, gradient in zip(gradients, new, strict=True)]
        return (trainable, others, optimizer, metrics), new

    def _worst_nearby(
        self, state: KerasState, batches: list[Arrays], shares: list[Any], rate: Any
    ) -> KerasState:
        """Make an update with the gradients at w + radius * g / ||g||.

        Only the first pass leaves traces: the second one draws the same random numbers.
        """
        after, gradients = self._summed(state, batches, shares)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g.astype("float32"))) for g in gradients))
        factor = self._sharpness / (norm + 1e-12)
        moved = [
            weight + (factor * gradient).astype(weight.dtype)
            for weight, gradient in zip(state[0], gradients, strict=True)
        ]
        _, gradients = self._summed((moved, *state[1:]), batches, shares)
        return self._apply_gradients(after, gradients, rate)

    def _summed(
        self, state: KerasState, batches: list[Arrays], shares: list[Any]
    ) -> tuple[KerasState, Any]:
        gradients = None
        factors = self._factors(state, batches, self._counts)
        for batch, share, own in zip(batches, shares, factors, strict=True):
            state, gradients = self._micro_batch(state, batch, share, gradients, own)
        return state, gradients

    def _apply_gradients(self, state: KerasState, gradients: Any, rate: Any) -> KerasState:
        trainable, others, optimizer, metrics = self._with_rate(state, rate)
        trainable, optimizer = self._model.optimizer.stateless_apply(
            optimizer, gradients, trainable
        )
        return trainable, others, optimizer, metrics

    def _with_rate(self, state: KerasState, rate: Any) -> KerasState:
        if rate is None:
            return state
        assert self._rate_index is not None, "a rate for an optimizer that has a schedule"
        trainable, others, optimizer, metrics = state
        optimizer = list(optimizer)
        old = optimizer[self._rate_index]
        optimizer[self._rate_index] = jnp.asarray(rate, old.dtype)
        return trainable, others, optimizer, metrics

    def _metric_results(self, values: list[Any]) -> Mapping[str, Any]:
        mapping = list(zip(self._metrics_variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self._model.get_metrics_result()  # type: ignore[no-any-return]


def _gather(chosen: Arrays, placed: Arrays) -> Arrays:
    """Return the batch: the block's own arrays, or the placed examples that it points at."""
    if placed is None:
        return chosen

    def taken(array: Any) -> Any:
        # The feed's indices are in bounds: nothing is checked.
        return array.at[chosen].get(mode="promise_in_bounds")

    return map_arrays(taken, placed)


def _num_examples(batch: Arrays) -> int:
    return len(next(leaves(batch)))
