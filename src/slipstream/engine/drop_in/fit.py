"""The drop-in for `Model.fit`."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.generator_data_adapter import GeneratorDataAdapter

from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.arrays import ArraySource
from slipstream.engine.drop_in.callbacks import read_hooks
from slipstream.engine.drop_in.fallback import check_model, check_results, fit_with_keras
from slipstream.engine.drop_in.inputs import Source
from slipstream.engine.drop_in.loop import Loop
from slipstream.engine.drop_in.models import overrides
from slipstream.engine.drop_in.order import draw_seed
from slipstream.engine.drop_in.report import NotAcceleratedError, attached
from slipstream.engine.drop_in.schedule import reducible_schedules
from slipstream.engine.drop_in.streams import Batches, StreamSource
from slipstream.engine.drop_in.validation import Validation


def fit(  # noqa: PLR0917 - the order of positions is Keras'
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> Any:
    """Train a compiled Keras model as its own fit does, sooner.

    Losses, metrics, weights and the state of the optimizer are those of Keras' fit, step for
    step, as far as the same data come in the same order. Two things differ on purpose: arrays are
    shuffled in another order than Keras', a new one each epoch, drawn from the seed that
    `keras.utils.set_random_seed` sets; and ReduceLROnPlateau works on learning rate schedules too
    (see `reducible_schedules`).

    Args:
        model: The compiled model.
        x: Inputs, or data that hold targets too: arrays, tensors, nests of them, a
            tf.data.Dataset, a PyDataset, a Grain or torch loader, or a generator.
        y: Targets, where x holds none.
        batch_size: Examples per batch of arrays; 32 if None.
        epochs: The epoch to end with.
        verbose: As in Keras.
        callbacks: Keras callbacks. Where one overrides a hook of batches, each batch is made by
            itself; otherwise many go to the backend in one call.
        validation_split: The share of the arrays, at their end, to validate on.
        validation_data: What to validate on, in any form that x may have.
        shuffle: Whether arrays are shuffled, in an order of their own each epoch; "batch" shuffles
            within each batch, as in Keras.
        class_weight: A weight for each class number.
        sample_weight: A weight for each example, or a nest of weights for several outputs.
        initial_epoch: The epoch to begin with, from 0.
        steps_per_epoch: Batches in an epoch, where the data do not end by themselves.
        validation_steps: The same for a validation.
        validation_batch_size: Examples per batch of validation arrays; batch_size if None.
        validation_freq: After how many epochs each validation takes place, or after which.

    Returns:
        Keras' History. Its attribute `slipstream` is a `FitReport`: whether the engine ran, and
        what Keras did itself, and why.

    Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = fit(model, np.ones((8, 2)), np.ones((8, 1)), verbose=0, shuffle=False)
        >>> sorted(history.history)
        ['loss']
    """
    model._assert_compile_called("fit")
    arguments = Arguments(
        x=x,
        y=y,
        batch_size=batch_size,
        epochs=epochs,
        verbose=verbose,
        callbacks=callbacks,
        validation_split=validation_split,
        validation_data=validation_data,
        shuffle=shuffle,
        class_weight=class_weight,
        sample_weight=sample_weight,
        initial_epoch=initial_epoch,
        steps_per_epoch=steps_per_epoch,
        validation_steps=validation_steps,
        validation_batch_size=validation_batch_size,
        validation_freq=validation_freq,
    )
    with reducible_schedules(callbacks):
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
        adapter = self._batches.data_adapter
        as_given = overrides(model, "train_step")
        source: Source
        if isinstance(adapter, ArrayDataAdapter) and not arguments.steps_per_epoch:
            updates = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
            source = ArraySource(adapter, arguments.shuffle, draw_seed(updates), as_given)
        else:
            source = StreamSource(self._batches, as_given)
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
