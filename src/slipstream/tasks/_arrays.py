"""Nests of arrays (tuples, dicts) as named arrays and a description of the nest in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slipstream.data.splits import Array, Arrays
from slipstream.errors import DataError

# Everything but Python objects and raw bytes of a type that NumPy does not know.
KINDS = "biufcSUmM"


def pack(nest: Arrays, where: str, arrays: dict[str, Array]) -> Any:
    """Add the arrays of a nest to a dict of arrays; returns the nest with their names in it.

    Args:
        nest: An array, or tuples, lists and dicts of them; None holds none.
        where: What to call the nest in errors.
        arrays: Gets every array under a name of its own.

    Raises:
        DataError: A leaf is no array of numbers, strings or dates.

    Example:
        >>> arrays = {}
        >>> packed = pack({"a": np.zeros(2), "b": (np.ones(1), None)}, "x", arrays)
        >>> packed
        {'dict': {'a': {'array': 'array_0'}, 'b': {'tuple': [{'array': 'array_1'}, None]}}}
        >>> unpack(packed, arrays)
        {'a': array([0., 0.]), 'b': (array([1.]), None)}
    """
    if nest is None:
        return None
    if isinstance(nest, Mapping):
        return {
            "dict": {key: pack(part, f"{where}[{key!r}]", arrays) for key, part in nest.items()}
        }
    if isinstance(nest, tuple | list):
        return {"tuple": [pack(part, f"{where}[{i}]", arrays) for i, part in enumerate(nest)]}
    name = f"array_{len(arrays)}"
    arrays[name] = _to_array(nest, where)
    return {"array": name}


def unpack(packed: Any, arrays: Mapping[str, Array]) -> Arrays:
    """Return the nest that `pack` took apart; lists have become tuples."""
    if packed is None:
        return None
    if "dict" in packed:
        return {key: unpack(part, arrays) for key, part in packed["dict"].items()}
    if "tuple" in packed:
        return tuple(unpack(part, arrays) for part in packed["tuple"])
    return arrays[packed["array"]]


def _to_array(leaf: Any, where: str) -> Array:
    array = np.asarray(leaf)
    if array.ndim > 0 and array.dtype.kind in KINDS:
        return array
    raise DataError(
        f"an array of numbers as {where}",
        f"a {type(leaf).__name__}" + (f" of {array.dtype}" if array.ndim else ""),
        "Turn it into a NumPy array of numbers first, or write a task file with a data loader.",
        code="SLP-228",
    )
