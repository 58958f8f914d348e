"""Running Keras models through PyTorch's native kernels, on the same variables.

Keras' torch backend spends a good part of a step in its own dispatch and in generic operations.
A *rule* recognises a layer and runs it through the kernel made for it; losses, metrics and
optimizer updates are recognised likewise. What is not recognised Keras runs as ever.
"""

from __future__ import annotations

from slipstream.lowering._graph import NotAGraphError
from slipstream.lowering._lowered import Lowered
from slipstream.lowering._rule import Fallback
from slipstream.lowering._step import LoweredStep, lower_step

__all__ = ["Fallback", "Lowered", "LoweredStep", "NotAGraphError", "lower_step"]
