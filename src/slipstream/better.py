"""Which of two values of a metric is better, and whether one meets a target."""

from __future__ import annotations

from typing import Literal

Mode = Literal["min", "max"]


def is_better(value: float, than: float, mode: Mode) -> bool:
    """Whether one value is better than another; NaN is never better.

    Example:
        >>> is_better(0.1, than=0.2, mode="min"), is_better(float("nan"), than=0.2, mode="min")
        (True, False)
    """
    return value < than if mode == "min" else value > than


def meets(value: float, target: float, mode: Mode) -> bool:
    """Whether a value is as good as the target or better; NaN never is.

    Example:
        >>> meets(0.9, target=0.9, mode="max"), meets(float("nan"), target=0.9, mode="max")
        (True, False)
    """
    return value <= target if mode == "min" else value >= target
