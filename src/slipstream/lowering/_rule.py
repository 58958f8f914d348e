"""What a rule is: one Keras layer, run through the native kernels on the same variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

# What runs in place of a layer's call: (tensors, masks, training) -> the output, or a tuple of
# them. Tensors and masks stand in the order of the call's slots; a tensor without mask has None.
Run = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor | None], bool], Any]


class NotLoweredError(Exception):
    """Raised by a rule that does not know how to run a layer as it is set; says why."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among those that the call is given, and what the graph knows of it.

    Args:
        index: The place.
        dtype: Its dtype, by Keras' name, before the layer casts it.
        shape: Its shape; None where it is not fixed, as of the batch axis.
    """

    index: int
    dtype: str = "float32"
    shape: tuple[int | None, ...] = ()

    @property
    def is_floating(self) -> bool:
        """Whether it holds floating numbers, which is what layers cast."""
        return "float" in self.dtype


@dataclass(frozen=True)
class Call:
    """How a model's graph calls a layer: its arguments by name, a `Slot` where a tensor stands.

    Arguments that are None are left out, and so is `training`, which the engine decides.
    """

    arguments: Mapping[str, Any]

    def only_tensor(self, *also: str) -> Slot:
        """Return the one tensor of a call that has nothing else but arguments named in `also`.

        Raises:
            NotLoweredError: The call has other arguments, or several tensors.
        """
        (first, slot), *others = self.arguments.items()
        unknown = [name for name, _ in others if name not in also]
        if unknown:
            raise NotLoweredError(f"it is called with {', '.join(unknown)}")
        if not isinstance(slot, Slot):
            raise NotLoweredError(f"{first} is not one tensor")
        return slot

    def only_floating(self, *also: str) -> Slot:
        """Return what `only_tensor` returns, if it holds floating numbers.

        Raises:
            NotLoweredError: It holds others, or `only_tensor` raises.
        """
        slot = self.only_tensor(*also)
        if not slot.is_floating:
            raise NotLoweredError(f"its input is of dtype {slot.dtype}")
        return slot

    def mask(self) -> Slot | None:
        """Return the mask that the graph hands to the call by name, if it does.

        Raises:
            NotLoweredError: It is no tensor of the graph.
        """
        given = self.arguments.get("mask")
        if given is not None and not isinstance(given, Slot):
            raise NotLoweredError("its mask is a constant")
        return given

    def tensors(self) -> tuple[Slot, ...]:
        """Return the tensors of a call whose one argument is a list of them."""
        if len(self.arguments) != 1:
            raise NotLoweredError(f"it is called with {', '.join(list(self.arguments)[1:])}")
        (slots,) = self.arguments.values()
        if not isinstance(slots, list | tuple) or not all(isinstance(s, Slot) for s in slots):
            raise NotLoweredError("it is not called with a list of tensors")
        return tuple(slots)


@dataclass(frozen=True)
class Tolerance:
    """The largest error that a rule may make, relative to the largest value of what is compared.

    Args:
        float32: Against Keras' own call in float32, for outputs, gradients and states.
        bfloat16: The same under the policy mixed_bfloat16.
        float16: The same under the policy mixed_float16, whose numbers have three bits more.
    """

    float32: float = 2e-6
    bfloat16: float = 2e-2
    float16: float = 4e-3


@dataclass(frozen=True)
class Rule:
    """A lowering of some layer classes; subclasses of them are not meant.

    Args:
        layers: The classes.
        lower: Returns what runs in place of a layer at one place of the graph. It is called once,
            when the program is built; raises NotLoweredError with the reason where it cannot.
        tolerance: How far the results may be from Keras' own.
    """

    layers: tuple[type, ...]
    lower: Callable[[Any, Call], Run]
    tolerance: Tolerance = Tolerance()


@dataclass(frozen=True)
class Fallback:
    """A part of a model that Keras runs itself, and why."""

    name: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}): {self.reason}"
