"""Updates of Keras' optimizers as a few fused calls, on Keras' own slot variables.

One file for each family of rules; files with a "_" are what they share, and what goes around them.
"""

from __future__ import annotations

from slipstream.lowering.updates._kernel import NotNativeError
from slipstream.lowering.updates._native import Update, lower_update

__all__ = ["NotNativeError", "Update", "lower_update"]
