"""Libraries that sources need and that are installed with `slipstream[data]`."""

from __future__ import annotations

import importlib
from typing import Any

from slipstream.errors import DataError

NAMES = {"PIL": "Pillow", "grain": "Grain", "pyarrow": "pyarrow"}


def needed(module: str) -> Any:
    """Import a module of the extra `data`.

    Raises:
        DataError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = NAMES[module.partition(".")[0]]
        raise DataError(
            f"{name}, which this source of data needs",
            f"{type(error).__name__}: {error}",
            "Install it with: pip install 'slipstream[data]'",
            code="SLP-305",
        ) from None
