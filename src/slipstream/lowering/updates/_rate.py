"""The learning rate of an update as a plain number, without asking the device for it in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import keras
import torch
from keras.optimizers import schedules

# How many steps ahead a schedule is worked out: one call for all of them costs what one step does.
AHEAD = 64


@final
class HostNumber:
    """A number that lives in a variable; on a device it is fetched only after it was changed.

    Attributes:
        known: What was read, written or told last.
    """

    def __init__(self, variable: Any) -> None:
        self._variable = variable
        self._seen: tuple[torch.Tensor, int] | None = None
        self.known: float = 0.0

    def read(self) -> float:
        """Return the variable's value."""
        tensor: torch.Tensor = self._variable._value
        if tensor.is_cpu:
            self.known = tensor.item()
            return self.known
        if self._seen is None or self._seen[0] is not tensor or self._seen[1] != tensor._version:
            self.known = tensor.item()
            self._seen = (tensor, tensor._version)
        return self.known

    def write(self, number: float) -> None:
        """Set the variable's value, which need not be fetched again."""
        tensor: torch.Tensor = self._variable._value
        tensor.fill_(number)
        if not tensor.is_cpu:
            self.follow(number)

    def follow(self, number: float) -> None:
        """Take note of what the variable holds now that something else has changed it."""
        tensor: torch.Tensor = self._variable._value
        self.known = number
        self._seen = (tensor, tensor._version)


@final
class Rate:
    """The learning rate of a Keras optimizer: a variable, a schedule or a function.

    Args:
        optimizer: The optimizer; its `learning_rate` may be replaced at any time.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._variable: HostNumber | None = None
        self._schedule: _Ahead | None = None
        self._source: Any = None

    def at(self, step: int, given: float | None) -> float:
        """Return the rate of the update after `step` others.

        Args:
            step: The optimizer's iterations.
            given: The rate that the optimizer is to take over, or None.
        """
        if given is not None:
            self.set(given)
            return given
        source = self._optimizer._learning_rate
        if source is not self._source:
            self._take(source)
        if self._variable is not None:
            return self._variable.read()
        if self._schedule is not None:
            return self._schedule.at(step, self._optimizer._iterations)
        return float(source())

    def ahead(self, step: int, count: int) -> list[float]:
        """Return the optimizer's own rates for `count` updates after `step` others."""
        source = self._optimizer._learning_rate
        if source is not self._source:
            self._take(source)
        if self._schedule is not None:
            return [self._schedule.alone(step + i) for i in range(count)]
        return [self.at(step, None)] * count

    def set(self, given: float) -> None:
        """Have the optimizer take over a rate."""
        source = self._optimizer._learning_rate
        if source is not self._source:
            self._take(source)
        if self._variable is not None:
            self._variable.write(given)
        else:
            # Keras says why a schedule cannot be set.
            self._optimizer.learning_rate = given

    def _take(self, source: Any) -> None:
        self._source = source
        self._variable = HostNumber(source) if isinstance(source, keras.Variable) else None
        is_schedule = isinstance(source, schedules.LearningRateSchedule)
        self._schedule = _Ahead(source) if is_schedule else None


@final
class _Ahead:
    """A schedule, worked out for many steps in one call where it is one of Keras' own."""

    def __init__(self, schedule: Any) -> None:
        self._schedule = schedule
        self._many = _MANY.get(type(schedule))
        self._settings: dict[str, Any] = {}
        self._first = 0
        self._rates: list[float] = []

    def alone(self, step: int) -> float:
        """Return the rate after `step` updates, wherever the optimizer is."""
        if self._many is not None:
            return self.at(step, None)
        with keras.device("cpu"):
            return float(self._schedule(keras.ops.convert_to_tensor(step)))

    def at(self, step: int, iterations: Any) -> float:
        if self._many is None:
            return float(self._schedule(iterations))
        place = step - self._first
        if not 0 <= place < len(self._rates) or vars(self._schedule) != self._settings:
            self._settings = dict(vars(self._schedule))
            self._first, place = step, 0
            steps = torch.arange(step, step + AHEAD, dtype=torch.int32)
            with keras.device("cpu"):
                self._rates = self._many(self._schedule, steps).tolist()
        return self._rates[place]


def _at_once(schedule: Any, steps: torch.Tensor) -> torch.Tensor:
    rates: torch.Tensor = schedule(steps)
    return rates


def _cosine(schedule: Any, steps: torch.Tensor) -> torch.Tensor:
    """Cosine decay, whose warm-up asks whether one step is a part of it."""
    if schedule.warmup_target is None:
        return _at_once(schedule, steps)
    start, target = schedule.initial_learning_rate, schedule.warmup_target
    decay = schedules.CosineDecay(target, schedule.decay_steps, alpha=schedule.alpha)
    after = decay(torch.clamp(steps - schedule.warmup_steps, min=0))
    share = steps.to(after.dtype) / max(schedule.warmup_steps, 1)
    return torch.where(steps < schedule.warmup_steps, (target - start) * share + start, after)


_MANY: dict[type, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    schedules.ExponentialDecay: _at_once,
    schedules.PolynomialDecay: _at_once,
    schedules.InverseTimeDecay: _at_once,
    schedules.CosineDecayRestarts: _at_once,
    schedules.CosineDecay: _cosine,
}
