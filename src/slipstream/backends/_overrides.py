"""What a user's model has in the place of Keras' own methods."""

from __future__ import annotations

from typing import Any

import keras


def overrides(model: Any, name: str) -> bool:
    """Whether a model, or its class, has its own version of a method of `keras.Model`."""
    return name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name)
