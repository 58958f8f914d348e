"""What the tests share that need PyTorch."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain_keras_state() -> None:
    """Begin every test with Keras' defaults, whatever the one before it left behind."""
    import keras

    from slipstream.backends.seeding import set_random_seed

    keras.config.set_dtype_policy("float32")
    set_random_seed(0)
