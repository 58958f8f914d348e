"""Random tensors from the seed generators of Keras' layers, drawn fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch

from slipstream.lowering._rule import NotLoweredError

_BITS_64 = 2**64 - 1
# Keep masks are thresholded integers of this many bits: four of them come from one draw.
_LEVELS = 2**16


@final
class SeedStream:
    """Draws from the state of a Keras SeedGenerator, and moves it on as its `next` does.

    The state is a variable of the model, so what is drawn is a function of the model's variables:
    a run that is resumed from them draws what it would have drawn. On this backend Keras itself
    leaves the state of an unseeded layer alone and draws its dropout from PyTorch's global
    generator; here, as on its other backends, the layer's own state is what counts.

    Args:
        seed_generator: The `keras.random.SeedGenerator` of a layer.
    """

    def __init__(self, seed_generator: Any) -> None:
        self._seed_generator = seed_generator
        self._generator: torch.Generator | None = None
        self._step: torch.Tensor | None = None

    def generator(self, *, as_keras: bool = False) -> torch.Generator | None:
        """Return a generator seeded from the current state, and move the state on.

        Args:
            as_keras: Seed it exactly as Keras does. Keras adds the two numbers of the state, so
                that layers with neighbouring seeds draw the same; otherwise they are mixed.

        Returns:
            None, which is PyTorch's default generator, while a CUDA graph is captured: that one
            moves on with each replay.
        """
        state = self._seed_generator.state._value
        if self._generator is None or self._generator.device != state.device:
            self._generator = torch.Generator(state.device)
            self._step = torch.tensor([0, 1], dtype=state.dtype, device=state.device)
        if state.is_cuda and torch.cuda.is_current_stream_capturing():
            state.add_(self._step)
            return None
        first, second = state.tolist()
        state.add_(self._step)
        seed = (first + second) & 0xFFFFFFFF if as_keras else _mixed(first, second)
        return self._generator.manual_seed(seed)


@final
class Dropout:
    """Sets random elements to zero and scales the others, so that the mean stays.

    The rate is met to within 2**-17, and the scale is that of the rate that is met.

    Args:
        rate: Share of the elements to drop, in (0, 1).
        seed_generator: Where the randomness comes from.

    Raises:
        NotLoweredError: The rate is nearer to 1 than can be met.
    """

    def __init__(self, rate: float, seed_generator: Any) -> None:
        dropped = round(rate * _LEVELS)
        if dropped >= _LEVELS:
            raise NotLoweredError(f"its rate {rate} drops everything")
        self._threshold = dropped - _LEVELS // 2
        self._scale = _LEVELS / (_LEVELS - dropped)
        self._stream = SeedStream(seed_generator)

    def __call__(self, tensor: torch.Tensor, shape: Sequence[int] | None = None) -> torch.Tensor:
        """Return the tensor with elements dropped; masks of another shape are broadcast."""
        return tensor * self.mask(tensor.shape if shape is None else shape, tensor)

    def mask(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """Return zeros, and the scale where an element is kept, in the dtype of another tensor."""
        size = 1
        for length in shape:
            size *= length
        # One call draws whole 64-bit words: a call for each element is what makes bernoulli_ slow.
        words = torch.empty((size + 3) // 4, dtype=torch.int64, device=like.device)
        words.random_(-(2**63), None, generator=self._stream.generator())
        levels = words.view(torch.int16)[:size].view(tuple(shape))
        return (levels >= self._threshold).to(like.dtype).mul_(self._scale)


def _mixed(first: int, second: int) -> int:
    """Return a seed whose every bit depends on all bits of both numbers (SplitMix64's finish)."""
    value = ((first & 0xFFFFFFFF) << 32 | second & 0xFFFFFFFF) + 0x9E3779B97F4A7C15 & _BITS_64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _BITS_64
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _BITS_64
    # PyTorch's CPU generator takes 32 bits of its seed.
    return (value ^ value >> 31) & 0xFFFFFFFF
