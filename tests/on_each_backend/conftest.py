"""What the tests share that run once per backend, each time in a process of its own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def backend() -> str:
    """The name of the backend that this process runs on."""
    return os.environ["KERAS_BACKEND"]


@pytest.fixture(autouse=True)
def plain_keras_state() -> None:
    """Begin every test with Keras' defaults, whatever the one before it left behind."""
    import keras

    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
