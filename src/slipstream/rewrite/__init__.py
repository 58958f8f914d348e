"""Changing a model that exists: layers and penalties that a plan asks for, or Python does.

What is public is imported when it is first used: it needs Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipstream.rewrite.door import (
        add_batch_normalization,
        add_residuals,
        freeze_batch_normalization,
        initialize,
        make_separable,
        scale_depth,
        scale_width,
        swap_base,
        zero_gamma,
    )
    from slipstream.rewrite.report import Change

__all__ = [
    "Change",
    "add_batch_normalization",
    "add_residuals",
    "freeze_batch_normalization",
    "initialize",
    "make_separable",
    "scale_depth",
    "scale_width",
    "swap_base",
    "zero_gamma",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'slipstream.rewrite' has no attribute '{name}'")
    place = "report" if name == "Change" else "door"
    value = getattr(importlib.import_module(f"slipstream.rewrite.{place}"), name)
    globals()[name] = value
    return value
