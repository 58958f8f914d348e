"""Losses that are not numbers, where a backend refuses to compute them."""

from __future__ import annotations

# What torch says of probabilities that are NaN; other backends compute a loss that is NaN.
_REFUSED_BY_TORCH = "all elements of input should be between 0 and 1"


def is_undefined_loss(error: Exception) -> bool:
    """Whether an error is a backend's way to say that a loss is not a number.

    Example:
        >>> is_undefined_loss(RuntimeError("all elements of input should be between 0 and 1"))
        True
    """
    return isinstance(error, RuntimeError) and _REFUSED_BY_TORCH in str(error)
