"""One fit: by the engine, or by Keras where the engine must not go on."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.generator_data_adapter import GeneratorDataAdapter

from slipstream.backends import overrides
from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.arrays import ArraySource
from slipstream.engine.drop_in.callbacks import read_hooks
from slipstream.engine.drop_in.fallback import check_model, check_results, fit_with_keras
from slipstream.engine.drop_in.inputs import Source
from slipstream.engine.drop_in.loop import Loop
from slipstream.engine.drop_in.order import draw_seed
from slipstream.engine.drop_in.report import NotAcceleratedError, attached
from slipstream.engine.drop_in.schedule import reducible_schedules
from slipstream.engine.drop_in.streams import Batches, StreamSource
from slipstream.engine.drop_in.validation import Validation


def run(model: Any, arguments: Arguments) -> Any:
    """Train by the engine, or by Keras where the engine would not do the same.

    Args:
        model: A compiled model.
        arguments: The arguments of the fit.

    Returns:
        Keras' History, with the `FitReport`.
    """
    with reducible_schedules(arguments.callbacks):
        attempt = _Attempt(model, arguments)
        try:
            return attempt.run()
        except NotAcceleratedError as error:
            reason = error.reason
        return fit_with_keras(model, attempt.arguments_for_keras(), reason)


class _Attempt:
    """One fit by the engine, which hands over to Keras where it must not go on."""

    def __init__(self, model: Any, arguments: Arguments) -> None:
        self._model = model
        self._arguments = arguments
        self._batches: Batches | None = None

    def run(self) -> Any:
        """Train and return the History.

        Raises:
            NotAcceleratedError: Keras' own fit has to do it; the model is as it was.
        """
        model = self._model
        check_model(model)
        arguments = _after_split(self._arguments)
        source = self._open(arguments)
        callbacks = _callback_list(model, arguments, source.num_batches)
        hooks = read_hooks(callbacks)
        model._eval_epoch_iterator = None
        loop = Loop(model, arguments, source, callbacks, hooks, Validation(model, arguments, hooks))
        try:
            loop.run()
        except NotAcceleratedError:
            # So that Keras may begin anew with the same callbacks.
            callbacks._on_end()
            raise
        return attached(model.history, loop.report)

    def arguments_for_keras(self) -> Arguments:
        """Return the arguments, with a generator that begins where it began for this attempt."""
        adapter = self._batches.data_adapter if self._batches is not None else None
        if not isinstance(adapter, GeneratorDataAdapter):
            return self._arguments
        return dataclasses.replace(self._arguments, x=adapter)

    def _open(self, arguments: Arguments) -> Source:
        """Return the training data, after the model's variables exist."""
        model = self._model
        self._batches = Batches(
            x=arguments.x,
            y=arguments.y,
            sample_weight=arguments.sample_weight,
            batch_size=arguments.batch_size,
            steps_per_epoch=arguments.steps_per_epoch,
            shuffle=arguments.shuffle,
            class_weight=arguments.class_weight,
        )
        source = _source_of(model, self._batches, arguments)
        try:
            source.build_state(model)
        except NotAcceleratedError:
            raise
        except Exception as error:
            if keras.backend.backend() != "tensorflow":
                # Keras' fit would have done the same, and would have said the same.
                raise
            raise NotAcceleratedError(
                f"the model could not be built beforehand: {type(error).__name__}"
            ) from error
        check_results(model, source.specs)
        if not model.trainable_variables:
            raise NotAcceleratedError("nothing in the model is trainable")
        return source


def _source_of(model: Any, batches: Batches, arguments: Arguments) -> Source:
    adapter = batches.data_adapter
    as_given = overrides(model, "train_step")
    if isinstance(adapter, ArrayDataAdapter) and not arguments.steps_per_epoch:
        updates = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
        return ArraySource(adapter, arguments.shuffle, draw_seed(updates), as_given)
    return StreamSource(batches, as_given)


def _after_split(arguments: Arguments) -> Arguments:
    """Set the validation data apart, as Keras does: the last ones, before any shuffle."""
    if not arguments.validation_split or arguments.validation_data is not None:
        return arguments
    (x, y, weights), validation_data = array_slicing.train_validation_split(
        (arguments.x, arguments.y, arguments.sample_weight),
        validation_split=arguments.validation_split,
    )
    return dataclasses.replace(
        arguments, x=x, y=y, sample_weight=weights, validation_data=validation_data
    )


def _callback_list(model: Any, arguments: Arguments, num_batches: int | None) -> Any:
    if isinstance(arguments.callbacks, keras.callbacks.CallbackList):
        return arguments.callbacks
    return keras.callbacks.CallbackList(
        arguments.callbacks,
        add_history=True,
        add_progbar=arguments.verbose != 0,
        verbose=arguments.verbose,
        epochs=arguments.epochs,
        steps=num_batches,
        model=model,
    )
