"""The learning rate at every optimizer update of a run: pure NumPy, one function per shape.

A run of T updates has W = round(warmup * T) warm-up updates: at least 1 where a warm-up is asked
for, at most T - 1, so that the peak is reached. With t the number of the update, from 0:

    t < W:   rate = peak * (t + 1) / (W + 1)          linear, the first is above 0
    t >= W:  rate = peak * shape(part, run)           part = (t - W) / (T - W), run = (t - W) / T

`part` is how much of what follows the warm-up has passed; `run` is the same stretch as a fraction
of the whole run, which is what lengths count in. Both are below 1: a decay to zero would be at zero
one update after the last, so no update is wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slipstream.errors import InputError, PlanError
from slipstream.plan import parts
from slipstream.plan.lengths import as_fraction, pieces_of

Array = npt.NDArray[np.float64]

# Where one_cycle begins, as a fraction of its peak.
ONE_CYCLE_START = 1 / 25
# Keeps i / n * n from falling just below the whole number that it is.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Stretch:
    """The updates after the warm-up, and a schedule's lengths as fractions of the run.

    Args:
        part: How much of what follows the warm-up has passed, shape (updates,).
        run: The same stretch as a fraction of the whole run, shape (updates,).
        decay_every: The length between two decays.
        decay_last: The length of the last part, which decays.
        pieces: Where each piece begins, counted from the start of the run, and its factor.
        warmup: The length of the warm-up.
    """

    part: Array
    run: Array
    decay_every: float = 1.0
    decay_last: float = 1.0
    pieces: tuple[tuple[float, float], ...] = ()
    warmup: float = 0.0


Shape = Callable[[parts.Schedule, Stretch], Array]


def learning_rates(
    schedule: parts.Schedule, total_updates: int, updates_per_epoch: float | None = None
) -> Array:
    """Return the learning rate of each optimizer update.

    Args:
        schedule: The schedule of a plan.
        total_updates: Number of optimizer updates of the run (not of micro-batches), at least 1.
        updates_per_epoch: Optimizer updates of one epoch, for lengths in epochs.

    Returns:
        float64 of shape (total_updates,), from 0 to the peak; the first is above 0.

    Raises:
        InputError: total_updates is below 1.
        PlanError: A length in steps or epochs does not fit into the run.

    Example:
        >>> linear = parts.Schedule(name="linear", peak=1.0, warmup=0.2)
        >>> learning_rates(linear, 10).round(3).tolist()
        [0.333, 0.667, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """
    num_warmup = num_warmup_updates(schedule, total_updates, updates_per_epoch)
    after = SHAPES[schedule.name](
        schedule, stretch_after_warmup(schedule, total_updates, updates_per_epoch)
    )
    climb = one_cycle_climb if schedule.name == "one_cycle" else linear_climb
    factors: Array = np.minimum(1.0, np.concatenate([climb(num_warmup), after]))
    return schedule.peak * factors


def stretch_after_warmup(
    schedule: parts.Schedule, total_updates: int, updates_per_epoch: float | None = None
) -> Stretch:
    """Return the updates after the warm-up as the shapes take them; raises as `learning_rates`."""
    num_warmup = num_warmup_updates(schedule, total_updates, updates_per_epoch)
    since = np.arange(total_updates - num_warmup, dtype=np.float64)

    def fraction(key: str, length: float | str) -> float:
        return as_fraction(length, total_updates, updates_per_epoch, f"schedule.{key}")

    # Lengths that this shape has no use for may be in units that this run does not know.
    steps = schedule.name in ("exponential", "inverse_time", "step_decay")
    piecewise = schedule.name == "piecewise_constant"
    stable = schedule.name == "warmup_stable_decay"
    stretch = Stretch(
        since / (total_updates - num_warmup),
        since / total_updates,
        fraction("decay_every", schedule.decay_every) if steps else 1.0,
        fraction("decay_last", schedule.decay_last) if stable else 1.0,
        tuple((fraction("pieces", at), factor) for at, factor in pieces_of(schedule.pieces))
        if piecewise
        else (),
        num_warmup / total_updates,
    )
    _refuse_lengths(schedule, stretch, total_updates)
    return stretch


def num_warmup_updates(
    schedule: parts.Schedule, total_updates: int, updates_per_epoch: float | None = None
) -> int:
    """Return how many updates climb to the peak: round(warmup * T), within 1 and T - 1.

    Raises:
        InputError: There are no updates.
        PlanError: A warm-up in steps or epochs leaves nothing of the run.

    Example:
        >>> num_warmup_updates(parts.Schedule(warmup=0.1), 50)
        5
        >>> num_warmup_updates(parts.Schedule(warmup="2 epochs"), 50, updates_per_epoch=10)
        20
        >>> num_warmup_updates(parts.Schedule(warmup=0.1), 1)
        0
    """
    if total_updates < 1:
        raise InputError(
            "a run of at least one optimizer update",
            f"{total_updates}",
            "Give more examples or epochs, or a smaller batch.",
            code="SLP-113",
        )
    if not schedule.warmup:
        return 0
    fraction = as_fraction(schedule.warmup, total_updates, updates_per_epoch, "schedule.warmup")
    if fraction >= 1:
        raise PlanError(
            f"schedule.warmup shorter than the run of {total_updates} updates",
            f"'{schedule.warmup}'",
            "Shorten it, or give it as a fraction of the run.",
            code="SLP-109",
        )
    return min(max(1, round(fraction * total_updates)), total_updates - 1)


def _refuse_lengths(schedule: parts.Schedule, stretch: Stretch, total_updates: int) -> None:
    if stretch.decay_last > 1:
        raise PlanError(
            f"schedule.decay_last within the run of {total_updates} updates",
            f"'{schedule.decay_last}'",
            "Shorten it, or give it as a fraction of the run.",
            code="SLP-110",
        )
    starts = [at for at, _ in stretch.pieces]
    # A warm-up of one update is as short as there is, whatever its fraction of a tiny run.
    warmup = stretch.warmup - 1 / total_updates
    if starts and (starts != sorted(set(starts)) or starts[0] <= warmup):
        raise PlanError(
            "schedule.pieces in the order of their starts, after the warm-up, in a run of "
            f"{total_updates} updates",
            f"'{schedule.pieces}' with schedule.warmup = {schedule.warmup!r}",
            "Order them, or shorten the warm-up.",
            code="SLP-111",
        )


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


def constant(schedule: parts.Schedule, stretch: Stretch) -> Array:  # noqa: ARG001
    """Return 1 at every update."""
    return np.ones_like(stretch.part)


def cosine(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return floor + (1 - floor) * (1 + cos(pi * part)) / 2.

    Source: Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, with one cycle.
    """
    return _half_cosine(stretch.part, schedule.floor)


def linear(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return 1 - (1 - floor) * part.

    Source: Defazio et al., "Optimal linear decay learning rate schedules", 2023, arXiv:2310.07831.
    """
    return 1 - (1 - schedule.floor) * stretch.part


def polynomial(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return floor + (1 - floor) * (1 - part) ** power.

    Source: Chen et al., "DeepLab", 2017, arXiv:1606.00915 ("poly").
    """
    return schedule.floor + (1 - schedule.floor) * (1 - stretch.part) ** schedule.power


def warmup_stable_decay(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return 1, and over the last part of the run 1 - (1 - floor) * p, or of sqrt(p).

    p is how much of the last part, of the length decay_last, has passed. Where the warm-up leaves
    less than that, all that is left decays.

    Source: Hu et al., "MiniCPM", 2024, arXiv:2404.06395; the root: Haegele et al., "Scaling laws
    and compute-optimal training beyond fixed training durations", 2024, arXiv:2405.18392.
    """
    length = min(stretch.decay_last, 1 - stretch.warmup)
    passed = np.clip((stretch.run - (1 - stretch.warmup - length)) / length, 0.0, 1.0)
    if schedule.decay_shape == "sqrt":
        passed = np.sqrt(passed)
    return 1 - (1 - schedule.floor) * passed


def exponential(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return max(floor, decay_rate ** (run / decay_every)): smooth, or a staircase.

    Source: Li and Arora, "An exponential learning rate schedule for deep learning", 2020,
    arXiv:1910.07454.
    """
    return np.maximum(schedule.floor, schedule.decay_rate ** _decays(schedule, stretch))


def inverse_time(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return max(floor, 1 / (1 + (1 / decay_rate - 1) * run / decay_every)), or a staircase.

    After decay_every the rate is decay_rate times the peak.

    Source: Robbins and Monro, "A stochastic approximation method", 1951,
    doi:10.1214/aoms/1177729586.
    """
    slope = 1 / schedule.decay_rate - 1
    return np.maximum(schedule.floor, 1 / (1 + slope * _decays(schedule, stretch)))


def step_decay(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return max(floor, decay_rate ** whole(run / decay_every)): a staircase.

    Source: He et al., "Deep residual learning for image recognition", 2016, arXiv:1512.03385.
    """
    steps = np.floor(stretch.run / stretch.decay_every + _ROUNDING)
    return np.maximum(schedule.floor, schedule.decay_rate**steps)


def piecewise_constant(schedule: parts.Schedule, stretch: Stretch) -> Array:  # noqa: ARG001
    """Return 1 up to the first piece, then the factor of the last piece that has begun.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional
    neural networks", 2012, doi:10.1145/3065386.
    """
    starts = np.array([at for at, _ in stretch.pieces])
    factors = np.array([1.0, *(factor for _, factor in stretch.pieces)])
    at = stretch.warmup + stretch.run
    chosen = factors[np.searchsorted(starts, at + _ROUNDING, side="right")]
    # A warm-up that rounding has prolonged into the first piece still reaches the peak.
    chosen[0] = 1.0
    return chosen


def warm_restarts(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return the cosine over the fraction part of cycles * part: back to the peak each time.

    Source: Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, with equal cycles.
    """
    passed = schedule.cycles * stretch.part
    within = np.maximum(0.0, passed - np.floor(passed + _ROUNDING))
    return _half_cosine(within, schedule.floor)


# one_cycle differs from cosine in how it climbs, not in how it falls.
SHAPES: Mapping[str, Shape] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "polynomial": polynomial,
    "one_cycle": cosine,
    "warmup_stable_decay": warmup_stable_decay,
    "exponential": exponential,
    "inverse_time": inverse_time,
    "step_decay": step_decay,
    "piecewise_constant": piecewise_constant,
    "warm_restarts": warm_restarts,
}


def momenta(
    schedule: parts.Schedule,
    highest: float,
    total_updates: int,
    updates_per_epoch: float | None = None,
) -> Array:
    """Return the momentum of each update of one_cycle: low where the rate is high.

    t < W:   highest - (highest - momentum_low) * (1 - cos(pi * t / W)) / 2
    t >= W:  highest - (highest - momentum_low) * (1 + cos(pi * part)) / 2

    Args:
        schedule: The schedule; its momentum_low is the momentum at the peak.
        highest: The optimizer's own momentum, where the cycle begins and ends.
        total_updates: Number of optimizer updates of the run.
        updates_per_epoch: Optimizer updates of one epoch, for lengths in epochs.

    Returns:
        float64 of shape (total_updates,), from momentum_low to highest.

    Source: Smith, "A disciplined approach to neural network hyper-parameters", 2018,
    arXiv:1803.09820.

    Example:
        >>> cycle = parts.Schedule(name="one_cycle", warmup=0.5, momentum_low=0.85)
        >>> momenta(cycle, 0.95, 4).round(3).tolist()
        [0.95, 0.9, 0.85, 0.9]
    """
    num_warmup = num_warmup_updates(schedule, total_updates, updates_per_epoch)
    risen = (1 - np.cos(np.pi * np.arange(num_warmup) / max(1, num_warmup))) / 2
    after = stretch_after_warmup(schedule, total_updates, updates_per_epoch)
    height = np.concatenate([risen, _half_cosine(after.part, 0.0)])
    return highest - (highest - schedule.momentum_low) * height


def _decays(schedule: parts.Schedule, stretch: Stretch) -> Array:
    """Return how many times decay_every has passed; whole numbers for a staircase."""
    passed = stretch.run / stretch.decay_every
    return np.floor(passed + _ROUNDING) if schedule.staircase else passed


def _half_cosine(passed: Array, floor: float) -> Array:
    return floor + (1 - floor) * (1 + np.cos(np.pi * passed)) / 2
