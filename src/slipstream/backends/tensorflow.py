"""Stepping a Keras model on TensorFlow: one tf.function, many updates in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from slipstream.backends._preparation import batches_of, judged, prepared
from slipstream.backends._protocol import loss_rows, loss_tracker, scalars, step_values
from slipstream.backends._settings import PLAIN, StepSettings
from slipstream.backends._shares import factors_of
from slipstream.data.splits import Arrays, Split, leaves, map_arrays


def set_graph_bfloat16(on: bool) -> None:
    """Let TensorFlow rewrite float32 graphs so that oneDNN's bfloat16 kernels run them."""
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": on})


def open_program(model: Any, *, jit: bool, settings: StepSettings = PLAIN) -> TensorflowProgram:
    """Return the program of a compiled, built model.

    Args:
        model: The model.
        jit: Lets XLA compile the step.
        settings: What its steps do beyond one gradient.
    """
    return TensorflowProgram(model, jit, settings)


@final
class TensorflowProgram:
    """See `slipstream.backends.Program`."""

    def __init__(self, model: Any, jit: bool, settings: StepSettings = PLAIN) -> None:
        self._model = model
        self._preparation = settings.preparation
        self._mixes = settings.mixes
        self._sharpness = settings.sharpness
        self._shares = settings.shares
        self._overflows = settings.overflows
        self._placed: Arrays = None
        # What the last update returned, where it was made alone.
        self._logs: dict[str, Any] | None = None
        self._tracked = loss_tracker(model) if settings.tells_losses else None
        # States of the loss tracker around the updates of each call, and how many are meant.
        self._told: list[tuple[Any, int]] = []
        # Shapes are kept as they are: a batch axis of unknown size makes Keras average the losses
        # of several outputs over batches instead of examples.
        self._run = tf.function(self._run_block, jit_compile=jit)
        self._test = tf.function(
            tf.autograph.experimental.do_not_convert(model.test_step), jit_compile=jit
        )
        self._ragged = tf.function(self._one_ragged_update, jit_compile=jit)

    def place(self, split: Split | None) -> None:
        self._placed = map_arrays(tf.convert_to_tensor, split.parts() if split else None)

    def train(self, block: Arrays, rates: NDArray[np.float32] | None, count: int) -> None:
        at = None if rates is None else tf.constant(rates, tf.float32)
        tensors = map_arrays(tf.convert_to_tensor, block)
        self._logs, told = self._run(tensors, at, tf.constant(count), self._placed)
        self._note(told, count)

    def train_ragged(self, batches: Sequence[Arrays], rate: float | None) -> None:
        tensors = [map_arrays(tf.convert_to_tensor, batch) for batch in batches]
        at = None if rate is None else tf.constant(rate, tf.float32)
        self._logs, told = self._ragged(tensors, at)
        self._note(told, 1)

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        self._model.reset_metrics()
        for batch in batches:
            self._test(map_arrays(tf.convert_to_tensor, batch))
        return self.read_metrics()

    def peek_metrics(self) -> dict[str, float]:
        return scalars(self._model.get_metrics_result())

    def step_logs(self) -> dict[str, float]:
        return self.peek_metrics() if self._logs is None else scalars(self._logs)

    def read_metrics(self) -> dict[str, float]:
        values = self.peek_metrics()
        self._logs = None
        self._model.reset_metrics()
        return values

    def read_losses(self) -> NDArray[np.float64]:
        told, self._told = self._told, []
        return loss_rows([states.numpy()[: count + 1] for states, count in told])

    def _note(self, told: Any, count: int) -> None:
        if told is not None:
            self._told.append((told, count))

    def is_idle(self) -> bool:
        # On a processor calls return when they are done; on a GPU there is no way to ask.
        return True

    def settle(self) -> None:
        self.synchronize()

    def synchronize(self) -> None:
        # Reading a variable waits for the calls that write it.
        self._model.optimizer.iterations.numpy()

    def resume(self) -> None:
        """Keras' variables are the state itself: nothing is to be taken back."""

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _run_block(
        self, block: Arrays, rates: Any, count: Any, placed: Arrays
    ) -> tuple[dict[str, Any] | None, Any]:
        num_updates = next(leaves(block)).shape[0]

        def one_update(index: Any) -> dict[str, Any] | None:
            self._set_rate(None if rates is None else rates[index])
            update = map_arrays(lambda array: array[index], block)
            gather = partial(_gather, placed=placed)
            return self._update(batches_of(update, gather, self._preparation))

        def go_on(index: Any, *told: Any) -> list[Any]:
            one_update(index)
            return [index + 1, *(self._added(states, index + 1) for states in told)]

        if num_updates == 1:
            return self._told_of(lambda: one_update(0))
        told = [self._added(tf.zeros([num_updates + 1, 2]), 0)] if self._tracked else []
        start = [tf.constant(0), *told]
        _, *told = tf.while_loop(lambda index, *_: index < count, go_on, start)
        return None, told[0] if told else None

    def _told_of(
        self, update: Callable[[], dict[str, Any] | None]
    ) -> tuple[dict[str, Any] | None, Any]:
        """Make an update; return what it logs, and the loss tracker before and after it."""
        if self._tracked is None:
            return update(), None
        before = self._losses()
        return update(), tf.stack([before, self._losses()])

    def _added(self, told: Any, index: Any) -> Any:
        return tf.tensor_scatter_nd_update(told, [[index]], [self._losses()])

    def _losses(self) -> Any:
        """Return the loss tracker's sum and number, shape (2,)."""
        assert self._tracked is not None
        return tf.stack([tf.cast(one.value, tf.float32) for one in self._tracked])

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _one_ragged_update(
        self, batches: Sequence[Arrays], rate: Any
    ) -> tuple[dict[str, Any] | None, Any]:
        self._set_rate(rate)
        parts = [prepared(batch, self._preparation) for batch in batches]
        return self._told_of(lambda: self._update(parts))

    def _update(self, batches: list[Arrays]) -> dict[str, Any] | None:
        """Make one update and return what it logs, if it is a train_step."""
        measured = [variable.value for variable in self._model.metrics_variables]
        before = _copies(measured) if self._overflows else []
        logs = self._stepped(batches)
        if self._overflows:
            # Where an overflow got into the metrics, they are what they were before.
            after = _copies(measured)
            parts = [v for v in after if v.dtype.is_floating]
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in parts])
            pairs = zip(before, after, strict=True)
            _assign(measured, [tf.where(finite, new, old) for old, new in pairs])
        return logs

    def _stepped(self, batches: list[Arrays]) -> dict[str, Any] | None:
        model = self._model
        if len(batches) == 1 and not self._sharpness and not self._mixes:
            return step_values(model.train_step(batches[0]))
        gradients = self._worst_nearby(batches) if self._sharpness else self._gradients(batches)
        model.optimizer.apply(gradients, model.trainable_variables)
        return None

    def _worst_nearby(self, batches: list[Arrays]) -> list[Any | None]:
        """Return the gradients at w + radius * g / ||g||; only the first pass leaves traces."""
        weights = [variable.value for variable in self._model.trainable_variables]
        others = [variable.value for variable in self._model.non_trainable_variables]
        kept, before = _copies(weights), _copies(others)
        gradients = self._gradients(batches)
        after = _copies(others)
        factor = self._sharpness / (tf.linalg.global_norm(gradients) + 1e-12)
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.assign_add(tf.cast(factor * gradient, weight.dtype))
        _assign(others, before)
        gradients = self._gradients(batches, track=False)
        _assign(others, after)
        _assign(weights, kept)
        return gradients

    def _gradients(self, batches: list[Arrays], track: bool = True) -> list[Any | None]:
        """Return the gradients of the mean loss over all examples of the batches."""
        sizes = [next(leaves(batch)).shape[0] for batch in batches]
        total: list[Any | None] = []
        factors = self._factors(batches, sizes)
        for batch, size, own in zip(batches, sizes, factors, strict=True):
            share = size / sum(sizes)
            found = self._micro_batch(batch, size, track, own)
            # None is the gradient of a variable that the loss does not reach; Keras skips it.
            new = [None if g is None else g * share for g in found]
            total = [_sum(a, b) for a, b in zip(total, new, strict=True)] if total else new
        return total

    def _factors(self, batches: list[Arrays], sizes: Sequence[int]) -> list[list[Any] | None]:
        """Return by what each loss of each micro-batch is multiplied, or None for nothing."""
        if self._shares is None or len(batches) == 1:
            return [None] * len(batches)
        # Of this pass nothing but the masks is used: the graph keeps no more of it.
        counts = [
            self._shares.counts(batch, self._model(batch[0], training=False)) for batch in batches
        ]
        return [*factors_of(counts, sizes)]

    def _micro_batch(
        self, batch: Arrays, size: int, track: bool, factors: list[Any] | None
    ) -> list[Any | None]:
        model = self._model
        x, y, weights = batch
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            with self._shares.applied(factors) if self._shares else nullcontext():
                loss = model._compute_loss(x, y, predictions, weights, training=True)
            scaled = model.optimizer.scale_loss(loss)
        if track:
            model._loss_tracker.update_state(loss, sample_weight=size)
            labels = judged(y, self._preparation)
            model.compute_metrics(x, labels, predictions, sample_weight=weights)
        gradients = tape.gradient(scaled, model.trainable_variables)
        return [None if g is None else tf.convert_to_tensor(g) for g in gradients]

    def _set_rate(self, rate: Any) -> None:
        if rate is None:
            return
        optimizer = self._model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._learning_rate.assign(tf.cast(rate, inner._learning_rate.dtype))


def _gather(chosen: Arrays, placed: Arrays) -> Arrays:
    """Return the batch: the block's own arrays, or the placed examples that it points at."""
    if placed is None:
        return chosen
    return map_arrays(lambda array: tf.gather(array, chosen), placed)


def _sum(one: Any | None, other: Any | None) -> Any | None:
    return None if one is None else one + other


def _copies(variables: Sequence[Any]) -> list[Any]:
    return [tf.identity(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
