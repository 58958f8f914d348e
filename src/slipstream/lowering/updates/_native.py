"""Optimizer steps on Keras' own slot variables: a few fused calls for all variables at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final

import keras
import torch

from slipstream.lowering._layout import match_layout
from slipstream.lowering.updates import (
    adagrad,
    adam,
    lion,
    rmsprop,
    sgd,
)
from slipstream.lowering.updates._average import (
    average_shares,
    overwrite,
    overwrites,
    update_average,
)
from slipstream.lowering.updates._clip import clip
from slipstream.lowering.updates._kernel import (
    Kernel,
    Moment,
    NotNativeError,
    Number,
    Recipe,
    share_layout,
    tensors,
)
from slipstream.lowering.updates._rate import HostNumber, Rate
from slipstream.lowering.updates._scale import ScaledUpdate

RECIPES: dict[type, Recipe] = {
    **sgd.RECIPES,
    **adam.RECIPES,
    **rmsprop.RECIPES,
    **adagrad.RECIPES,
    **lion.RECIPES,
}
# What a user's code would put on an optimizer of Keras' own to change what it does.
REPLACEABLE = ("apply", "update_step", "_clip_gradients", "_apply_weight_decay", "scale_loss")


class Update(Protocol):
    """Moves the variables that it was made for, without building a graph of it.

    Args:
        gradients: One for each variable; None where the loss does not reach it. They are the
            update's own from now on.
        rate: The learning rate to take over, or None for the optimizer's own.
    """

    def __call__(self, gradients: list[torch.Tensor | None], rate: float | None) -> None: ...


def lower_update(optimizer: Any, variables: Sequence[Any]) -> Update:
    """Return an update that does what `optimizer.apply` does, natively.

    Args:
        optimizer: A Keras optimizer, built for the variables.
        variables: The variables that it is given gradients for, in their order.

    Raises:
        NotNativeError: No kernel reproduces this optimizer as it is set; says why.

    Example:
        >>> weight = keras.Variable([1.0, 2.0])
        >>> sgd = keras.optimizers.SGD(0.5)
        >>> sgd.build([weight])
        >>> with torch.no_grad():
        ...     lower_update(sgd, [weight])([torch.tensor([1.0, 0.0])], None)
        >>> weight.numpy().tolist(), int(sgd.iterations)
        ([0.5, 2.0], 1)
    """
    _refuse_replaced(optimizer)
    if type(optimizer) is keras.optimizers.LossScaleOptimizer:
        return ScaledUpdate(optimizer, lower_update(optimizer.inner_optimizer, variables))
    recipe = RECIPES.get(type(optimizer))
    if recipe is None:
        raise NotNativeError("no kernel for this class")
    try:
        _refuse_settings(optimizer)
        _refuse_variables(optimizer, variables)
        return NativeUpdate(optimizer, variables, recipe)
    except AttributeError as error:
        raise NotNativeError(f"this version of Keras keeps it elsewhere: {error}") from error


def _refuse_replaced(optimizer: Any) -> None:
    replaced = [name for name in REPLACEABLE if name in vars(optimizer)]
    if replaced:
        raise NotNativeError(f"its {replaced[0]} was replaced")


def _refuse_settings(optimizer: Any) -> None:
    if not optimizer.built:
        raise NotNativeError("it is not built")
    if optimizer.gradient_accumulation_steps:
        raise NotNativeError("it accumulates gradients itself")
    numbers = [getattr(optimizer, name, 0.5) for name in ("beta_1", "beta_2", "rho", "momentum")]
    if not all(isinstance(number, float | int) and 0 <= number < 1 for number in numbers):
        raise NotNativeError("a decay that is no plain number from 0 to below 1")


def _refuse_variables(optimizer: Any, variables: Sequence[Any]) -> None:
    if not variables:
        raise NotNativeError("there is nothing to train")
    for variable in variables:
        if id(variable) not in optimizer._trainable_variables_indices:
            raise NotNativeError("it was built for other variables")
        if variable._value.dtype != torch.float32:
            raise NotNativeError(f"a variable of {variable.dtype}")
        if getattr(variable, "overwrite_with_gradient", False):
            raise NotNativeError("a variable that is overwritten with its gradient")


@dataclass(frozen=True)
class _Group:
    """Variables that have gradients in the same steps.

    Args:
        variables: The variables.
        matrices: Those that can be laid out in several ways: by their place here, their place
            among all variables of the update, and the variable.
        kernel: What moves them.
        decayed: Those of them that weight decay is for.
        bounded: Those of them that have a constraint.
    """

    variables: tuple[Any, ...]
    matrices: dict[int, tuple[int, Any]]
    kernel: Kernel
    decayed: tuple[Any, ...]
    bounded: tuple[Any, ...]


class Numbers(NamedTuple):
    """What changes from update to update: plain numbers, or scalar tensors on the device.

    Args:
        rate: The learning rate.
        size: The size of the step, as the recipe makes it of the rate.
        keep: What decoupled weight decay leaves of the variables.
        momentum: What stays of the averages that an optimizer keeps, if it does.
        share: How much of the variables is added to them.
    """

    rate: Number
    size: Number
    keep: Number = 1.0
    momentum: Number = 0.0
    share: Number = 1.0


@final
class NativeUpdate:
    """See `lower_update`.

    Attributes:
        variables: The variables that it moves.
        iterations: How many updates the optimizer has made.
        rate: Where its learning rates come from.
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any], recipe: Recipe) -> None:
        self._optimizer = optimizer
        self.variables = tuple(variables)
        self._recipe = recipe
        self.iterations = HostNumber(optimizer._iterations)
        self.rate = Rate(optimizer)
        self._slots = _slots(optimizer, self.variables, recipe)
        self._groups: dict[tuple[int, ...], _Group] = {}
        self._all = self._group(tuple(range(len(self.variables))))

    def __call__(self, gradients: list[torch.Tensor | None], rate: float | None) -> None:
        step = int(self.iterations.read())
        numbers = self.numbers(step, self.rate.at(step, rate))
        self.move(gradients, numbers, overwrites=overwrites(self._optimizer, step))
        self.iterations.write(step + 1)

    def numbers(self, step: int, rate: float) -> Numbers:
        """Return the numbers of the update after `step` others, at a learning rate."""
        optimizer = self._optimizer
        numbers = Numbers(
            rate,
            self._recipe.size_of(optimizer, rate, step + 1),
            1.0 - (optimizer.weight_decay or 0.0) * rate,
        )
        if optimizer.use_ema:
            momentum, share = average_shares(optimizer, step)
            return numbers._replace(momentum=momentum, share=share)
        return numbers

    def move(
        self,
        gradients: list[torch.Tensor | None],
        numbers: Numbers,
        *,
        overwrites: bool = False,
    ) -> None:
        """Make an update, without counting it; nothing is asked of the device."""
        optimizer = self._optimizer
        group, present = self._present(gradients)
        self._move(group, present, numbers)
        if optimizer.use_ema:
            variables = optimizer._trainable_variables
            update_average(optimizer, variables, numbers.momentum, numbers.share)
            if overwrites:
                overwrite(optimizer, variables)
        for variable in group.bounded:
            variable.assign(variable.constraint(variable))

    def _move(self, group: _Group, gradients: list[torch.Tensor], numbers: Numbers) -> None:
        optimizer = self._optimizer
        self._lay_out(group, gradients)
        parameters = tensors(group.variables)
        if optimizer.loss_scale_factor is not None:
            torch._foreach_div_(gradients, optimizer.loss_scale_factor)
        divisor = clip(optimizer, gradients, group.variables)
        decay = optimizer.weight_decay or 0.0
        rate, size, folds = numbers.rate, numbers.size, self._recipe.folds
        if divisor is not None and not folds:
            torch._foreach_div_(gradients, divisor)
            divisor = None
        # A kernel takes the decay as a plain number.
        folds = folds and isinstance(rate, float)
        if decay and not (folds and len(group.decayed) == len(group.variables)):
            if group.decayed:
                torch._foreach_mul_(tensors(group.decayed), numbers.keep)
            decay = 0.0
        group.kernel(parameters, gradients, Moment(rate, size, divisor, decay))

    def _present(self, gradients: list[torch.Tensor | None]) -> tuple[_Group, list[torch.Tensor]]:
        present = [gradient for gradient in gradients if gradient is not None]
        if len(present) == len(gradients):
            return self._all, present
        # Those that were frozen since the model was compiled are left out without a word.
        known = [i for i, variable in enumerate(self.variables) if variable.trainable]
        # Keras warns of the others, and raises where nothing is left.
        self._optimizer._filter_empty_gradients(
            [gradients[i] for i in known], [self.variables[i] for i in known]
        )
        places = tuple(i for i, gradient in enumerate(gradients) if gradient is not None)
        if places not in self._groups:
            self._groups[places] = self._group(places)
        return self._groups[places], present

    def _group(self, places: tuple[int, ...]) -> _Group:
        optimizer = self._optimizer
        variables = tuple(self.variables[place] for place in places)
        matrices = {
            i: (at, variable)
            for i, (at, variable) in enumerate(zip(places, variables, strict=True))
            if len(variable.shape) > 1
        }
        return _Group(
            variables,
            matrices,
            self._recipe.make(optimizer, [optimizer._get_variable_index(v) for v in variables]),
            tuple(v for v in variables if optimizer._use_weight_decay(v)),
            tuple(v for v in variables if v.constraint is not None),
        )

    def _lay_out(self, group: _Group, gradients: list[torch.Tensor]) -> None:
        """Let slots and gradients lie in memory as their parameters do, which rules may move."""
        for place, (at, variable) in group.matrices.items():
            parameter = variable._value
            stride = parameter.stride()
            if gradients[place].stride() != stride:
                gradients[place] = match_layout(gradients[place], parameter.detach())
            for slot in self._slots[at]:
                if slot._value.stride() != stride:
                    share_layout(variable, slot)


def _slots(optimizer: Any, variables: Sequence[Any], recipe: Recipe) -> list[tuple[Any, ...]]:
    """Return the slot variables of each variable."""
    lists = [getattr(optimizer, name, None) for name in recipe.slots]
    if optimizer.use_ema:
        lists.append(optimizer._model_variables_moving_average)
    places = [optimizer._get_variable_index(variable) for variable in variables]
    return [tuple(slots[place] for slots in lists if slots) for place in places]
