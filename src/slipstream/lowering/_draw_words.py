"""Random bits on the processor, faster than PyTorch's own generator draws them there."""

from __future__ import annotations

from typing import final

import numpy as np
import torch

_BITS_64 = 2**64 - 1
# So many words after seeding are thrown away: they still resemble the seed.
_FIRST = 12


@final
class HostWords:
    """Draws 64-bit words with NumPy's SFC64: half the time of PyTorch's Mersenne twister."""

    def __init__(self) -> None:
        self._bits = np.random.SFC64(0)
        self._numbers = np.random.Generator(self._bits)

    def draw(self, seed: int, count: int) -> torch.Tensor:
        """Return words of shape (count,), int64: a function of a seed of 64 bits."""
        # The last number counts; the others are SplitMix64's, of which no other seed has any.
        state = np.array([mixed(3 * seed + i) for i in range(3)] + [1], np.uint64)
        self._bits.state = {
            "bit_generator": "SFC64",
            "state": {"state": state},
            "has_uint32": 0,
            "uinteger": 0,
        }
        words = self._numbers.integers(-(2**63), 2**63, count + _FIRST, np.int64)
        return torch.from_numpy(words)[_FIRST:]


def mixed(value: int) -> int:
    """Return 64 bits, each of which depends on all bits of the value (SplitMix64)."""
    value = (value + 1) * 0x9E3779B97F4A7C15 & _BITS_64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _BITS_64
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _BITS_64
    return value ^ value >> 31
