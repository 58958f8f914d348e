"""Running Keras layers through PyTorch's native kernels, on the same variables.

Keras' torch backend spends a good part of a step in its own dispatch and in generic operations.
A *rule* recognises a layer and runs it through the kernel made for it; what no rule recognises
Keras runs as ever.
"""

from __future__ import annotations

from slipstream.lowering._graph import NotAGraphError
from slipstream.lowering._lowered import Lowered
from slipstream.lowering._rule import Fallback

__all__ = ["Fallback", "Lowered", "NotAGraphError"]
