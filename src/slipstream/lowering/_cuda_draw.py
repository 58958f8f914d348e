"""Random numbers that a device draws by itself, from a state that rests on it.

The host is asked for nothing: not for a seed, which would stop the device, nor for an offset,
which a CUDA graph would repeat with each replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch


def draws_by_itself(state: torch.Tensor) -> bool:
    """Whether the device on which a state rests can draw from it (PyTorch 2.13 and CUDA)."""
    return state.is_cuda and hasattr(torch.ops.aten, "_philox_uniform_")


@final
class DeviceDraws:
    """Draws from the two numbers of a Keras seed generator's state, and moves it on.

    Philox, a function of a key and the place of a number among those that are drawn: the state is
    the key, so the same state draws the same.

    Args:
        state: The state, two integers, the second of which counts the draws.
    """

    def __init__(self, state: torch.Tensor) -> None:
        self._state = state
        # Two words of 64 bits: the key, which is the whole state, and the place of the first.
        halves = torch.zeros(4, dtype=torch.int32, device=state.device)
        self._key = halves.view(torch.uint64)
        self._seed = halves.narrow(0, 0, 2)
        self._count = state.select(0, 1)

    def serves(self, state: torch.Tensor) -> bool:
        """Whether it draws from this very state."""
        return self._state is state

    def uniform(self, shape: Sequence[int]) -> torch.Tensor:
        """Return float32 numbers in [0, 1), multiples of 2**-24."""
        numbers = torch.empty(tuple(shape), dtype=torch.float32, device=self._state.device)
        draw: Any = torch.ops.aten._philox_uniform_
        draw(numbers, self._next_key(), 0.0, 1.0)
        return numbers

    def normal(self, like: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
        """Return normal numbers of the shape and dtype of another tensor."""
        numbers = torch.empty_like(like, memory_format=torch.contiguous_format)
        draw: Any = torch.ops.aten._philox_normal_
        draw(numbers, self._next_key(), mean, deviation)
        return numbers

    def _next_key(self) -> torch.Tensor:
        self._seed.copy_(self._state)
        self._count.add_(1)
        return self._key
