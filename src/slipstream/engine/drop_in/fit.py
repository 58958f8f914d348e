"""The drop-in for `Model.fit`."""

from __future__ import annotations

from typing import Any

from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.attempt import run


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
        >>> import keras, numpy as np
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
    return run(model, arguments)
