"""The first batch of a stream, shown to whoever wants to look before the first step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import keras

from slipstream.data.splits import map_arrays

Look = Callable[[Any, Any, Any], None]

_LOOK: ContextVar[Look | None] = ContextVar("look", default=None)


@contextlib.contextmanager
def first_batch_shown_to(look: Look) -> Iterator[None]:
    """Within it, each fit of what comes batch by batch shows its first batch before it trains.

    The fit has taken that batch for itself: nothing is read for the look, so that generators,
    shuffled datasets and whatever draws at random go on as they would without it.

    Args:
        look: Called with inputs, targets and weights as NumPy arrays; it must not raise.
    """
    token = _LOOK.set(look)
    try:
        yield
    finally:
        _LOOK.reset(token)


def show(x: Any, y: Any = None, sample_weight: Any = None) -> None:
    """Show a batch, in the form of any backend, to who wants to look."""
    look = _LOOK.get()
    if look is not None:
        look(*(map_arrays(keras.ops.convert_to_numpy, part) for part in (x, y, sample_weight)))
