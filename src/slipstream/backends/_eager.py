"""Running a step one operation at a time, as it is written: for breakpoints and prints."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def run_eagerly(on: bool) -> Iterator[None]:
    """Within it the backend that Keras runs on compiles and traces nothing, where it would.

    PyTorch never does.

    Args:
        on: Whether it is to be so; without it nothing changes.

    Example:
        >>> with run_eagerly(False):
        ...     pass
    """
    backend = keras.backend.backend()
    if on and backend == "tensorflow":
        with _tensorflow():
            yield
        return
    if on and backend == "jax":
        import jax

        with jax.disable_jit():
            yield
        return
    yield


@contextmanager
def _tensorflow() -> Iterator[None]:
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # Pipelines of tf.data stay graphs, and TensorFlow says so each time.
            warnings.filterwarnings("ignore", "Even though the `tf.config", UserWarning)
            yield
    finally:
        tf.config.run_functions_eagerly(before)
