"""Random tensors from the seed generators of Keras' layers, drawn fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch

from slipstream.lowering._cuda_draw import DeviceDraws, draws_by_itself
from slipstream.lowering._draw_words import HostWords, mixed
from slipstream.lowering._rule import NotLoweredError

# PyTorch's CPU generator takes so many bits of its seed.
_BITS_32 = 2**32 - 1
# Keep masks are thresholded integers of this many bits: four of them come from one draw.
_LEVELS = 2**16
# From so many elements on, words from NumPy's generator are drawn in less time.
MANY = 2**17


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
        self._words: HostWords | None = None
        self._step: torch.Tensor | None = None
        self._on_device: DeviceDraws | None = None

    def on_device(self) -> DeviceDraws | None:
        """Return what draws where the state rests; None where a generator has to be seeded."""
        state = self._seed_generator.state._value
        if not draws_by_itself(state):
            return None
        if self._on_device is None or not self._on_device.serves(state):
            self._on_device = DeviceDraws(state)
        return self._on_device

    def generator(self, *, as_keras: bool = False) -> torch.Generator:
        """Return a generator seeded from the current state, and move the state on.

        Args:
            as_keras: Seed it exactly as Keras does. Keras adds the two numbers of the state, so
                that layers with neighbouring seeds draw the same; otherwise they are mixed.

        Raises:
            RuntimeError: A CUDA graph is being captured, which would repeat the seed.
        """
        state = self._seed_generator.state._value
        if self._generator is None or self._generator.device != state.device:
            self._generator = torch.Generator(state.device)
        if state.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError("this version of PyTorch draws no random numbers from a state")
        first, second = self._next(state)
        seed = (first + second) & _BITS_32 if as_keras else mixed(first << 32 | second) & _BITS_32
        return self._generator.manual_seed(seed)

    def words(self, count: int) -> torch.Tensor:
        """Return words of 64 bits, drawn on the processor, and move the state on."""
        if self._words is None:
            self._words = HostWords()
        first, second = self._next(self._seed_generator.state._value)
        return self._words.draw(first << 32 | second, count)

    def _next(self, state: torch.Tensor) -> tuple[int, int]:
        """Return the two numbers of the state, of 32 bits each, and move it on."""
        if self._step is None or self._step.device != state.device:
            self._step = torch.tensor([0, 1], dtype=state.dtype, device=state.device)
        first, second = state.tolist()
        state.add_(self._step)
        return first & _BITS_32, second & _BITS_32


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
        self._share = dropped / _LEVELS
        self._threshold = dropped - _LEVELS // 2
        self._scale = _LEVELS / (_LEVELS - dropped)
        self._stream = SeedStream(seed_generator)

    def __call__(self, tensor: torch.Tensor, shape: Sequence[int] | None = None) -> torch.Tensor:
        """Return the tensor with elements dropped; masks of another shape are broadcast."""
        draws = self._stream.on_device() if shape is None else None
        if draws is None:
            return tensor * self.mask(tensor.shape if shape is None else shape, tensor)
        kept = draws.uniform(tensor.shape) >= self._share
        # The product of three, as one kernel: the mask is kept as bytes.
        dropped: torch.Tensor = torch.ops.aten.native_dropout_backward(tensor, kept, self._scale)
        return dropped

    def mask(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """Return zeros, and the scale where an element is kept, in the dtype of another tensor."""
        draws = self._stream.on_device()
        if draws is not None:
            return (draws.uniform(shape) >= self._share).to(like.dtype).mul_(self._scale)
        size = 1
        for length in shape:
            size *= length
        # One call draws whole 64-bit words: a call for each element is what makes bernoulli_ slow.
        count = (size + 3) // 4
        if size >= MANY and like.device.type == "cpu":
            levels = self._stream.words(count).view(torch.int16)[:size].view(tuple(shape))
            # Comparing and converting what that returns are slow; arithmetic on floats is not.
            kept = levels.float().sub_(self._threshold - 0.5).mul_(2.0).clamp_(0.0, 1.0)
            return kept.to(like.dtype).mul_(self._scale)
        words = torch.empty(count, dtype=torch.int64, device=like.device)
        words.random_(-(2**63), None, generator=self._stream.generator())
        levels = words.view(torch.int16)[:size].view(tuple(shape))
        return (levels >= self._threshold).to(like.dtype).mul_(self._scale)
