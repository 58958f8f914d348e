"""The learning rate at every optimizer update of a run: pure NumPy, one function per shape.

A run of T updates has W = round(warmup * T) warm-up updates: at least 1 where a warm-up is asked
for, at most T - 1, so that the peak is reached. With t the number of the update, from 0:

    t < W:   rate = peak * (t + 1) / (W + 1)          linear, the first is above 0
    t >= W:  rate = peak * shape(part, run)           part = (t - W) / (T - W), run = (t - W) / T

`part` is how much of what follows the warm-up has passed; `run` is the same stretch as a fraction
of the whole run, which is what decay_every counts in. Both are below 1: a decay to zero would be
at zero one update after the last, so no update is wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from slipstream.errors import InputError
from slipstream.plan import parts

Array = npt.NDArray[np.float64]
Shape = Callable[[parts.Schedule, Array, Array], Array]

# Where one_cycle begins, as a fraction of its peak.
ONE_CYCLE_START = 1 / 25
# Keeps i / n * n from falling just below the whole number that it is.
_ROUNDING = 1e-9


def learning_rates(schedule: parts.Schedule, total_updates: int) -> Array:
    """Return the learning rate of each optimizer update.

    Args:
        schedule: The schedule of a plan.
        total_updates: Number of optimizer updates of the run (not of micro-batches), at least 1.

    Returns:
        float64 of shape (total_updates,), from 0 to the peak; the first is above 0.

    Raises:
        InputError: total_updates is below 1.

    Example:
        >>> linear = parts.Schedule(name="linear", peak=1.0, warmup=0.2)
        >>> learning_rates(linear, 10).round(3).tolist()
        [0.333, 0.667, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """
    if total_updates < 1:
        raise InputError(
            "a run of at least one optimizer update",
            f"{total_updates}",
            "Give more examples or epochs, or a smaller batch.",
        )
    num_warmup = num_warmup_updates(schedule, total_updates)
    since = np.arange(total_updates - num_warmup, dtype=np.float64)
    after = SHAPES[schedule.name](
        schedule, since / (total_updates - num_warmup), since / total_updates
    )
    climb = one_cycle_climb if schedule.name == "one_cycle" else linear_climb
    factors: Array = np.minimum(1.0, np.concatenate([climb(num_warmup), after]))
    return schedule.peak * factors


def num_warmup_updates(schedule: parts.Schedule, total_updates: int) -> int:
    """Return how many updates climb to the peak: round(warmup * T), within 1 and T - 1.

    Example:
        >>> num_warmup_updates(parts.Schedule(warmup=0.1), 50)
        5
        >>> num_warmup_updates(parts.Schedule(warmup=0.1), 1)
        0
    """
    if not schedule.warmup:
        return 0
    return min(max(1, round(schedule.warmup * total_updates)), total_updates - 1)


def linear_climb(num_updates: int) -> Array:
    """Return (t + 1) / (W + 1) for t < W: from above 0 to just below 1.

    Source: Goyal et al., "Accurate, large minibatch SGD", 2017, arXiv:1706.02677.

    Example:
        >>> linear_climb(3).tolist()
        [0.25, 0.5, 0.75]
    """
    return np.arange(1, num_updates + 1) / (num_updates + 1)


def one_cycle_climb(num_updates: int) -> Array:
    """Return s + (1 - s) * (1 - cos(pi * t / W)) / 2 for t < W, where s = 1 / 25.

    Source: Smith and Topin, "Super-convergence", 2018, arXiv:1708.07120; the cosine in place of
    the straight line follows later practice.

    Example:
        >>> one_cycle_climb(2).round(3).tolist()
        [0.04, 0.52]
    """
    passed = np.arange(num_updates) / max(1, num_updates)
    return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - np.cos(np.pi * passed)) / 2


def constant(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return 1 at every update."""
    return np.ones_like(part)


def cosine(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return floor + (1 - floor) * (1 + cos(pi * part)) / 2.

    Source: Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, with one cycle.
    """
    return _half_cosine(part, schedule.floor)


def linear(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return 1 - (1 - floor) * part.

    Source: Defazio et al., "Optimal linear decay learning rate schedules", 2023, arXiv:2310.07831.
    """
    return 1 - (1 - schedule.floor) * part


def exponential(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return max(floor, decay_rate ** (run / decay_every)): smooth.

    Source: Li and Arora, "An exponential learning rate schedule for deep learning", 2020,
    arXiv:1910.07454.
    """
    return np.maximum(schedule.floor, schedule.decay_rate ** (run / schedule.decay_every))


def step_decay(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return max(floor, decay_rate ** whole(run / decay_every)): a staircase.

    Source: He et al., "Deep residual learning for image recognition", 2016, arXiv:1512.03385.
    """
    steps = np.floor(run / schedule.decay_every + _ROUNDING)
    return np.maximum(schedule.floor, schedule.decay_rate**steps)


def warm_restarts(schedule: parts.Schedule, part: Array, run: Array) -> Array:  # noqa: ARG001
    """Return the cosine over the fraction part of cycles * part: back to the peak each time.

    Source: Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, with equal cycles.
    """
    passed = schedule.cycles * part
    within = np.maximum(0.0, passed - np.floor(passed + _ROUNDING))
    return _half_cosine(within, schedule.floor)


# one_cycle differs from cosine in how it climbs, not in how it falls.
SHAPES: Mapping[str, Shape] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "one_cycle": cosine,
    "exponential": exponential,
    "step_decay": step_decay,
    "warm_restarts": warm_restarts,
}


def _half_cosine(passed: Array, floor: float) -> Array:
    return floor + (1 - floor) * (1 + np.cos(np.pi * passed)) / 2
