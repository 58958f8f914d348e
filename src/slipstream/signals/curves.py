"""Overfitting, spikes and divergence, told from the evaluations of a run. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from slipstream.better import Mode
from slipstream.record import Point, Signal

# Evaluations over which something has to last before it is told: one is chance.
LASTING = 3
# How much worse the validation loss has to be than its best: by that best, and by its descent.
WORSE, WORSE_SHARE = 0.1, 0.05
# A difference between training and validation of a metric that is a share, like accuracy.
GAP = 0.15
# The same of a loss: validation by training.
GAP_OF_LOSSES = 2.0
# A spike is this many times what was usual just before, and this share of the whole descent.
SPIKE, SPIKE_SHARE = 1.5, 0.25
# Diverging is this far above the first training loss, by its size.
ABOVE_START = 0.5

# What may be told again of one run: it is about a moment, not about the run.
MOMENTARY = ("validation_spike", "non_finite", "loss_spike")


def found_at_the_end(points: Sequence[Point], monitor: str, mode: Mode) -> list[Signal]:
    """Return what the last of a run's evaluations shows, in the light of those before it.

    Args:
        points: The run's evaluations so far.
        monitor: The metric that is watched.
        mode: Whether less or more of it is better.

    Example:
        >>> losses = [(1.0, 1.0), (0.7, 0.8), (0.5, 0.9), (0.3, 1.0), (0.2, 1.1)]
        >>> points = [
        ...     Point(step=i, epoch=i, seconds=i, values={"loss": train, "val_loss": held_out})
        ...     for i, (train, held_out) in enumerate(losses, start=1)
        ... ]
        >>> [(signal.kind, signal.epoch) for signal in found_at_the_end(points, "val_loss", "min")]
        [('overfitting', 5.0)]
    """
    if not points:
        return []
    last = points[-1]
    diverged = _divergence(points)
    # What diverges is not judged any further.
    found = (
        [diverged]
        if diverged
        else [_unjudged(points), _overfitting(points), _gap(points, monitor, mode), _spike(points)]
    )
    return [
        Signal(epoch=last.epoch, step=last.step, kind=kind, seen=seen, advice=advice)
        for kind, seen, advice in filter(None, found)
    ]


def found_over(points: Sequence[Point], monitor: str, mode: Mode) -> list[Signal]:
    """Return what a whole run showed, each thing when it was first seen."""
    told: list[Signal] = []
    for end in range(1, len(points) + 1):
        new = found_at_the_end(points[:end], monitor, mode)
        told.extend(signal for signal in new if is_new(signal, told))
    return told


def is_new(signal: Signal, told: Sequence[Signal]) -> bool:
    """Whether something is to be told that a run has shown, given what was told before."""
    return signal.kind in MOMENTARY or all(signal.kind != other.kind for other in told)


def _divergence(points: Sequence[Point]) -> tuple[str, str, str] | None:
    losses = _losses(points, "loss")
    if not losses:
        return None
    advice = "Lower schedule.peak, add schedule.warmup, or set clipping.global_norm = 1.0."
    last, held_out = losses[-1], points[-1].values.get("val_loss", math.nan)
    if not math.isfinite(last):
        # float16 skips a step that overflows and logs its loss all the same: if the weights had
        # suffered, the validation loss would tell.
        if math.isfinite(held_out):
            return None
        return "divergence", f"a training loss of {last}", advice
    if len(losses) < LASTING or not _all_finite(losses):
        return None
    limit = losses[0] + ABOVE_START * abs(losses[0])
    if min(losses[-2:]) > limit:
        return "divergence", f"a training loss of {last:.4g}, up from {losses[0]:.4g}", advice
    return None


def _unjudged(points: Sequence[Point]) -> tuple[str, str, str] | None:
    held_out = points[-1].values.get("val_loss", 0.0)
    if math.isfinite(held_out):
        return None
    advice = (
        "Such an evaluation is never the best. Look for extreme or broken examples in the "
        "validation split, and for a logarithm of 0 or a division by 0 in the model or the loss."
    )
    return "validation_not_finite", f"a validation loss of {held_out}", advice


def _overfitting(points: Sequence[Point]) -> tuple[str, str, str] | None:
    train, held_out = _losses(points, "loss"), _losses(points, "val_loss")
    if not len(train) == len(held_out) == len(points) or not _all_finite([*train, *held_out]):
        return None
    best = min(range(len(held_out)), key=held_out.__getitem__, default=0)
    if len(points) - 1 - best < LASTING:
        return None
    since = held_out[-LASTING:]
    descent = held_out[0] - held_out[best]
    margin = max(WORSE * abs(held_out[best]), WORSE_SHARE * descent)
    risen = min(since) > held_out[best] + margin
    # Rising over what was seen of it lately, too: a level that is kept is no signal.
    rising = since[-1] > since[0]
    if not (risen and rising and fmean(train[-LASTING:]) < train[best]):
        return None
    seen = (
        f"val_loss has risen from {held_out[best]:.4g} at epoch {points[best].epoch:g} to "
        f"{held_out[-1]:.4g} while the training loss fell from {train[best]:.4g} to {train[-1]:.4g}"
    )
    advice = (
        "End sooner (duration.patience), or regularize: regularization.dropout, "
        "optimizer.weight_decay, augmentation."
    )
    return "overfitting", seen, advice


def _gap(points: Sequence[Point], monitor: str, mode: Mode) -> tuple[str, str, str] | None:
    name = monitor.removeprefix("val_")
    if name == monitor or len(points) < LASTING:
        return None
    last = points[-LASTING:]
    pairs = [(p.values.get(name, math.nan), p.values.get(monitor, math.nan)) for p in last]
    if not all(map(_all_finite, pairs)):
        return None
    if mode == "max":
        in_shares = all(0.0 <= value <= 1.0 for pair in pairs for value in pair)
        is_wide = in_shares and all(train - held_out > GAP for train, held_out in pairs)
    else:
        # Near zero a ratio says nothing: training and validation are compared while both count.
        start = points[0].values.get(monitor, math.nan)
        is_wide = all(
            train > 0 and held_out > GAP_OF_LOSSES * train and held_out > 0.3 * start
            for train, held_out in pairs
        )
    if not is_wide:
        return None
    train, held_out = pairs[-1]
    seen = f"{name} is {train:.4g} in training and {held_out:.4g} in validation"
    advice = (
        "The model knows its examples better than their kind: more data or augmentation, "
        "regularization.dropout, optimizer.weight_decay, or a smaller model. Early in training "
        "BatchNormalization's averages may lag behind: architecture.batch_norm_momentum."
    )
    return "generalization_gap", seen, advice


def _spike(points: Sequence[Point]) -> tuple[str, str, str] | None:
    held_out = _losses(points, "val_loss")
    if len(held_out) <= LASTING or not _all_finite(held_out):
        return None
    usual, last = max(held_out[-1 - LASTING : -1]), held_out[-1]
    descent = max(held_out[:-1]) - min(held_out[:-1])
    if last <= usual + (SPIKE - 1.0) * abs(usual) or last - usual <= SPIKE_SHARE * descent:
        return None
    seen = f"val_loss jumped to {last:.4g}, from at most {usual:.4g} in the {LASTING} before"
    advice = (
        "Lower schedule.peak, bound the gradient (clipping.global_norm = 1.0), or average the "
        "weights (optimizer.ema)."
    )
    return "validation_spike", seen, advice


def _losses(points: Sequence[Point], name: str) -> list[float]:
    return list(_values(points, name))


def _values(points: Sequence[Point], name: str) -> Iterator[float]:
    return (point.values[name] for point in points if name in point.values)


def _all_finite(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))
