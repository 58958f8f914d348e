"""What the arithmetic of one optimizer is: a kernel that moves all variables at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from slipstream.lowering._layout import match_layout

Tensors = list[torch.Tensor]


class NotNativeError(Exception):
    """Raised where an optimizer is set in a way that no kernel reproduces; says why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a kernel is told beside parameters and gradients.

    Args:
        rate: The learning rate.
        step: The update that is being made, from 1.
        divisor: A scalar by which all gradients are still to be divided, or None.
        decay: The decoupled weight decay that is still to be applied to all parameters.
    """

    rate: float
    step: int
    divisor: torch.Tensor | None = None
    decay: float = 0.0


class Kernel(Protocol):
    """Moves parameters by their gradients, and the slots with them.

    The gradients are its own: it may write into them.
    """

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None: ...


@dataclass(frozen=True)
class Recipe:
    """How an optimizer's kernel is made.

    Args:
        make: From the optimizer and the places of some variables, among those that it was built
            for, to the kernel for these variables.
        slots: The names of the optimizer's lists of slot variables; those it lacks are skipped.
        folds: Whether the kernel divides gradients and decays parameters itself.
    """

    make: Callable[[Any, Sequence[int]], Kernel]
    slots: tuple[str, ...] = ()
    folds: bool = False


def tensors(variables: Iterable[Any]) -> Tensors:
    """Return the tensors that Keras variables hold at this moment."""
    return [variable._value for variable in variables]


def chosen(slots: Sequence[Any], places: Sequence[int]) -> list[Any]:
    """Return the slot variables at some places."""
    return [slots[place] for place in places]


def share_layout(variable: Any, slot: Any) -> None:
    """Lay a slot out in memory as its parameter is: fused kernels walk through both side by side.

    The values stay what they are, and so does the tensor that Keras' variable holds.
    """
    slot._value.data = match_layout(slot._value.data, variable._value.data)
