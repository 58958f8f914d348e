"""What a model brings of its own."""

from __future__ import annotations

from typing import Any

import keras

from slipstream.data.splits import Arrays, map_arrays


def keras_method(name: str) -> Any:
    """Return a method as Keras' trainer of this backend has it, whatever was put in its place."""
    return next(vars(kind)[name] for kind in keras.Model.__mro__[1:] if name in vars(kind))


def is_built(model: Any) -> bool:
    """Whether Keras would make a fit of this model without a look at a batch first."""
    parts = [*model._flatten_layers(), model._compile_loss, model._compile_metrics]
    return all(part is None or part.built for part in parts)


def draws_in_inference(model: Any, x: Arrays) -> bool:
    """Whether a model changes its own variables, seeds of random numbers above all, in inference.

    Args:
        model: A built model.
        x: Its inputs; their shapes count.
    """
    changed: list[Any] = []
    if not any("seed" in variable.path for variable in model.non_trainable_variables):
        return False

    def call(inputs: Any) -> Any:
        with keras.StatelessScope() as scope:
            predictions = model(inputs, training=False)
        changed.extend(
            v for v in model.non_trainable_variables if scope.get_current_value(v) is not None
        )
        return predictions

    one = map_arrays(
        lambda array: keras.KerasTensor(
            (1, *array.shape[1:]), keras.backend.standardize_dtype(array.dtype)
        ),
        x,
    )
    keras.src.backend.compute_output_spec(call, one)
    return bool(changed)
