"""Arrays of two or three splits in one row, recognised by their lengths."""

from __future__ import annotations

from typing import Any

from slipstream.errors import DataError

NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}


def refuse_in_one_row(loaded: Any) -> None:
    """Refuse what scikit-learn's `train_test_split` returns, and pairs that lost their brackets.

    Args:
        loaded: What a data function returned.

    Raises:
        DataError: These are four or six arrays in a row, or inputs beside inputs.

    Example:
        >>> import numpy as np
        >>> train, test = np.zeros(8), np.zeros(2)
        >>> refuse_in_one_row((train, test, train, test))
        Traceback (most recent call last):
        slipstream.errors.DataError: Expected pairs of inputs and targets, a pair for each split; \
got x_train, x_test, y_train, y_test, by their lengths of 8, 2, 8, 2. \
Return (x_train, y_train), (x_test, y_test). [SLP-301]
    """
    if not isinstance(loaded, tuple | list):
        return
    is_nested = len(loaded) == 2 and all(isinstance(part, tuple | list) for part in loaded)
    flat = [array for part in loaded for array in part] if is_nested else list(loaded)
    lengths = [_length(array) for array in flat]
    splits = NAMES.get(len(flat) // 2)
    if len(flat) not in (4, 6) or None in lengths or splits is None:
        return
    half = len(flat) // 2
    by_role = [f"{role}_{name}" for role in "xy" for name in splits]
    by_split = [f"{role}_{name}" for name in splits for role in "xy"]
    if lengths[:half] == lengths[half:] and len(set(lengths)) > 1:
        names = by_role
    elif lengths[::2] == lengths[1::2] and not is_nested:
        names = by_split
    else:
        return
    came, sizes = ", ".join(names), ", ".join(map(str, lengths))
    pairs = ", ".join(f"(x_{name}, y_{name})" for name in splits)
    raise DataError(
        "pairs of inputs and targets, a pair for each split",
        f"{came}, by their lengths of {sizes}",
        f"Return {pairs}.",
        code="SLP-301",
    )


def _length(array: Any) -> int | None:
    """Return the number of examples of an array; None where it is none."""
    shape = getattr(array, "shape", None)
    return int(shape[0]) if shape else None
