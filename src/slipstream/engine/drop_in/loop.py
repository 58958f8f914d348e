"""The loop of a drop-in fit: Keras' events in Keras' order, many updates in one call between."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, final

import keras
import numpy as np
from keras.src.utils.python_utils import pythonify_logs

from slipstream.backends import Program
from slipstream.engine.drop_in.access import Access
from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.callbacks import Hooks
from slipstream.engine.drop_in.inputs import MOST_UPDATES, Portion, Source
from slipstream.engine.drop_in.programs import OpenedForFit, forget, is_stale, open_for_fit
from slipstream.engine.drop_in.report import LOGGER, FitReport, NotAcceleratedError
from slipstream.engine.drop_in.validation import Validation

# With a progress bar a call should take about this long: it is drawn between calls.
BAR_SECONDS = 0.1


@final
class Loop:
    """Trains a compiled, built model on its program, as Keras' fit would.

    Args:
        model: The model.
        arguments: The arguments of the fit.
        source: The training data.
        callbacks: A Keras CallbackList that has its model and parameters.
        hooks: What the callbacks want.
        validation: The validation data.
    """

    def __init__(
        self,
        model: Any,
        arguments: Arguments,
        source: Source,
        callbacks: Any,
        hooks: Hooks,
        validation: Validation,
    ) -> None:
        self._model = model
        self._arguments = arguments
        self._source = source
        self._callbacks = callbacks
        self._hooks = hooks
        self._validation = validation
        self._opened: OpenedForFit | None = None
        self._access = Access(model)
        together = int(model.steps_per_execution)
        self._most = together if hooks.is_per_batch else max(together, MOST_UPDATES)
        self._at_most = 1
        self._has_begun = False
        self._updates = 0
        self._examples = 0
        self._metric_names: set[str] = set()
        self._are_scalar: bool | None = None

    def run(self) -> None:
        """Train until the last epoch ends or somebody stops it.

        Raises:
            NotAcceleratedError: The very first update failed; nothing has been changed.
        """
        with self._access.answered():
            try:
                self._run()
            except BaseException:
                # What was learned stays in the model, if the program still has it.
                with suppress(Exception):
                    self._access.give()
                forget(self._model)
                raise

    @property
    def report(self) -> FitReport:
        """How it ran."""
        hooks = self._hooks
        by_batch = ", ".join(dict.fromkeys(hooks.batch_begin + hooks.batch_end))
        slow = (f"each step runs by itself: {by_batch} is called for it",) if by_batch else ()
        native = self._opened.fallbacks if self._opened else ()
        fallbacks = (*native, *slow, *self._validation.fallbacks)
        return FitReport(
            "slipstream",
            fallbacks,
            updates_per_call=self._source.updates_per_call,
            updates=self._updates,
            examples=self._examples,
        )

    @property
    def _program(self) -> Program:
        assert self._opened is not None, "no program before training begins"
        return self._opened.program

    def _run(self) -> None:
        model, arguments = self._model, self._arguments
        model.stop_training = False
        self._tell("on_train_begin")
        # Once a program has the state, Keras' variables of metrics are not to be read.
        self._metric_names = set(model.get_metrics_result())
        self._open()
        logs: dict[str, Any] = {}
        for epoch in range(model._initial_epoch or arguments.initial_epoch, arguments.epochs):
            self._begin_epoch(epoch)
            if not self._make_updates() and self._has_begun and not model.stop_training:
                self._tell_of_no_data(epoch)
                break
            logs = self._end_epoch(epoch)
            if model.stop_training:
                break
        self._access.give()
        self._program.place(None)
        if arguments.epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        self._validation.close()
        self._callbacks.on_train_end(logs)

    def _open(self) -> None:
        """Open the program on the state as the callbacks left it when training began."""
        self._opened = open_for_fit(self._model)
        self._access.use(self._opened.program)
        self._source.open(self._opened.program, self._most)

    def _begin_epoch(self, epoch: int) -> None:
        self._program.read_metrics()
        self._tell("on_epoch_begin", epoch)
        if self._opened is None or is_stale(self._opened, self._model):
            self._access.give()
            self._open()
        self._source.begin_epoch(epoch)
        _set_module_mode(self._model, training=True)

    def _make_updates(self) -> int:
        """Make the updates of an epoch; returns how many they were."""
        done, group = 0, self._model.steps_per_execution
        limit = self._limit(done, group)
        while (portion := self._source.take(limit)) is not None:
            if self._hooks.batch_begin and done % group == 0:
                self._tell_batch("on_train_batch_begin", done, None)
            self._update(portion)
            done += portion.count
            if self._hooks.batch_end and done % group == 0:
                self._tell_batch("on_train_batch_end", done - 1, self._step_logs())
            if self._model.stop_training:
                return done
            limit = self._limit(done, group)
        if self._hooks.batch_end and done % group:
            last = done - done % group + group - 1
            self._tell_batch("on_train_batch_end", last, self._step_logs())
        return done

    def _tell_of_no_data(self, epoch: int) -> None:
        """Say that data came to their end before training did: an epoch of none has no loss."""
        _set_module_mode(self._model, training=False)
        LOGGER.warning(
            "fit: Expected batches for %d epochs; got none in epoch %d, counted from 0. Give data "
            "that can be read anew in each epoch, such as a keras.utils.PyDataset.",
            self._arguments.epochs,
            epoch,
        )

    def _limit(self, done: int, group: int) -> int:
        """How many updates the next call may make; the very first one is made alone."""
        if not self._has_begun or self._model.stop_training:
            # Keras looks whether it has to stop after each update, and not before the first.
            return 1
        if self._hooks.is_per_batch:
            return group - done % group
        return self._at_most if self._hooks.shows_progress else self._most

    def _update(self, portion: Portion) -> None:
        self._access.take()
        start = time.perf_counter()
        if self._has_begun:
            self._dispatch(portion)
        else:
            self._dispatch_first(portion)
        self._updates += portion.count
        self._examples += portion.num_examples
        self._show(portion, start)

    def _dispatch(self, portion: Portion) -> None:
        program = self._program
        if portion.is_block:
            program.train(portion.arrays, None, portion.count)
        else:
            program.train_ragged([portion.arrays], None)

    def _dispatch_first(self, portion: Portion) -> None:
        """Make the first update; if it cannot be made, Keras gets the model as it was."""
        others = [(v, np.array(v)) for v in self._model.non_trainable_variables]
        try:
            self._dispatch(portion)
        except Exception as error:
            for variable, value in others:
                variable.assign(value)
            message = str(error).strip().splitlines()
            raise NotAcceleratedError(
                f"the first update failed: {type(error).__name__}: {message[0] if message else ''}"
            ) from error
        self._has_begun = True

    def _show(self, portion: Portion, start: float) -> None:
        bar, last = self._hooks.bar, portion.first + portion.count - 1
        if bar is None or self._hooks.batch_end:
            return
        if not self._hooks.shows_progress:
            bar.on_train_batch_end(last, None)
            return
        bar.on_train_batch_end(last, self._step_logs())
        seconds = time.perf_counter() - start
        if seconds < BAR_SECONDS:
            self._at_most = min(self._most, 2 * self._at_most)
        elif seconds > 4 * BAR_SECONDS:
            self._at_most = max(1, self._at_most // 2)

    def _end_epoch(self, epoch: int) -> dict[str, Any]:
        logs = self._logs()
        _set_module_mode(self._model, training=False)
        if self._validation.is_due(epoch):
            self._access.give()
            if not self._are_scalar:
                self._validation.refuse_own("a metric has several values")
            logs.update(self._validation.run(self._program, self._callbacks))
        self._tell("on_epoch_end", epoch, logs)
        return logs

    def _logs(self) -> dict[str, Any]:
        """Return the values of the training metrics, as Keras logs them."""
        return self._as_logged(self._program.peek_metrics())

    def _step_logs(self) -> dict[str, Any]:
        """Return what the last update returned, as Keras logs it after a batch."""
        return self._as_logged(self._program.step_logs())

    def _as_logged(self, values: dict[str, float]) -> dict[str, Any]:
        if self._are_scalar is None:
            self._are_scalar = set(values) == self._metric_names
        if self._are_scalar:
            return dict(sorted(values.items()))
        # The program gives each entry of a vector a name of its own, Keras logs the vector.
        self._access.give()
        whole: dict[str, Any] = pythonify_logs(self._model.get_metrics_result())
        return whole

    def _tell(self, event: str, *arguments: Any) -> None:
        if self._hooks.has_users:
            self._access.give()
        getattr(self._callbacks, event)(*arguments)

    def _tell_batch(self, event: str, batch: int, logs: dict[str, Any] | None) -> None:
        self._access.give_when_asked()
        getattr(self._callbacks, event)(batch, logs)


def _set_module_mode(model: Any, training: bool) -> None:
    """Tell torch modules within the model which mode it is, as Keras does at both ends."""
    if keras.backend.backend() == "torch":
        model.train(training)
