"""What the arithmetic of one optimizer is: a kernel that moves all variables at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from slipstream.lowering._layout import match_layout

Tensors = list[torch.Tensor]
# A plain number, or one that rests on the device: a scalar tensor.
Number = float | torch.Tensor


class NotNativeError(Exception):
    """Raised where an optimizer is set in a way that no kernel reproduces; says why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a kernel is told beside parameters and gradients.

    Args:
        rate: The learning rate.
        size: The size of the step: the rate, or what the recipe's `size` makes of it.
        divisor: A scalar by which all gradients are still to be divided, or None.
        decay: The decoupled weight decay that is still to be applied to all parameters; 0 where
            the rate rests on the device.
    """

    rate: Number
    size: Number
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
        size: From the optimizer, the rate and the update that is being made, from 1, to the size
            of its step; None where that is the rate.
    """

    make: Callable[[Any, Sequence[int]], Kernel]
    slots: tuple[str, ...] = ()
    folds: bool = False
    size: Callable[[Any, float, int], float] | None = None

    def size_of(self, optimizer: Any, rate: float, step: int) -> float:
        """Return the size of the step of an update, counted from 1."""
        return rate if self.size is None else self.size(optimizer, rate, step)


def tensors(variables: Iterable[Any]) -> Tensors:
    """Return the tensors that Keras variables hold at this moment."""
    return [variable._value for variable in variables]


def add_scaled(
    targets: Tensors, others: Tensors | tuple[torch.Tensor, ...], factor: Number
) -> None:
    """Add the others times a factor to the targets."""
    if isinstance(factor, torch.Tensor):
        torch._foreach_add_(targets, torch._foreach_mul(others, factor))
    else:
        torch._foreach_add_(targets, others, alpha=factor)


def add_ratio(
    targets: Tensors, ones: Tensors, others: Tensors | tuple[torch.Tensor, ...], factor: Number
) -> None:
    """Add ones / others times a factor to the targets."""
    if isinstance(factor, torch.Tensor):
        ratios = torch._foreach_div(ones, others)
        torch._foreach_mul_(ratios, factor)
        torch._foreach_add_(targets, ratios)
    else:
        torch._foreach_addcdiv_(targets, ones, others, value=factor)


def chosen(slots: Sequence[Any], places: Sequence[int]) -> list[Any]:
    """Return the slot variables at some places."""
    return [slots[place] for place in places]


def share_layout(variable: Any, slot: Any) -> None:
    """Lay a slot out in memory as its parameter is: fused kernels walk through both side by side.

    The values stay what they are, and so does the tensor that Keras' variable holds.
    """
    slot._value.data = match_layout(slot._value.data, variable._value.data)
