"""Arrays in NumPy's npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from slipstream.data.nests import Array
from slipstream.data.splits import Split
from slipstream.errors import DataError


def npz_file(path: str | Path, x: str = "x", y: str = "y", weight: str = "") -> Split:
    """Return arrays of an npz file as a split. Pickled objects are never loaded.

    Args:
        path: The file.
        x: The name of the array of inputs.
        y: The name of the array of targets.
        weight: The name of the array of sample weights; "" where there are none.

    Raises:
        DataError: The file is missing or broken, or lacks an array.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "data.npz"
        >>> np.savez(file, x_train=np.ones((3, 2)), y_train=np.arange(3))
        >>> npz_file(file, "x_train", "y_train").y.tolist()
        [0, 1, 2]
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            inputs, targets = (_named(arrays, name, path) for name in (x, y))
            return Split(inputs, targets, _named(arrays, weight, path) if weight else None)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"an npz file of plain arrays at {path.absolute()}",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            "Mend the path, or write it with numpy.savez.",
        ) from None


def _named(arrays: np.lib.npyio.NpzFile, name: str, path: Path) -> Array:
    if name not in arrays.files:
        raise DataError(
            f"an array '{name}' in {path}",
            ", ".join(f"'{other}'" for other in arrays.files) or "none",
            "Name the arrays of inputs and targets: npz_file(path, x=..., y=...).",
        )
    array: Array = arrays[name]
    return array
