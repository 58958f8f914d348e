"""Nests of arrays: one array, or several by position or by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# One array, or several: by position for a model with several inputs or outputs, or by name.
Arrays = Any


def leaves(arrays: Arrays) -> Iterator[Array]:
    """Yield every array in the nest; None holds no array."""
    if arrays is None:
        return
    if isinstance(arrays, Mapping):
        for name in arrays:
            yield from leaves(arrays[name])
    elif isinstance(arrays, tuple | list):
        for part in arrays:
            yield from leaves(part)
    else:
        yield arrays


def map_arrays(function: Callable[[Array], Any], arrays: Arrays) -> Any:
    """Apply a function to every array in the nest, keeping its shape."""
    if arrays is None:
        return None
    if isinstance(arrays, Mapping):
        return {name: map_arrays(function, part) for name, part in arrays.items()}
    if isinstance(arrays, tuple | list):
        return tuple(map_arrays(function, part) for part in arrays)
    return function(arrays)
