"""Small pictures drawn as SVG beside the text: positions in percent, so that they need no script.

Percentages instead of a view box: circles stay round while the picture takes any width.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from slipstream.report import _numbers as numbers
from slipstream.report._content import Interval

MARGIN = 9.0  # percent kept free at both ends, for dots and arrowheads


@dataclass(frozen=True)
class Whisker:
    """An interval in percent of the picture's width; cut where the scale ends."""

    dot: float
    low: float
    high: float
    cut_low: bool
    cut_high: bool
    standing: Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Tick:
    """A labelled place on a scale."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Where values lie between the ends of a picture, in percent; ratios on a log scale."""

    low: float
    high: float
    is_ratio: bool

    def at(self, value: float) -> float:
        """Return the place of a value in percent, inside the picture always.

        Example:
            >>> Scale(0.25, 4.0, is_ratio=True).at(1.0)
            50.0
        """
        if self.is_ratio:
            value = math.log(value) if value > 0 else -math.inf
            low, high = math.log(self.low), math.log(self.high)
        else:
            low, high = self.low, self.high
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(MARGIN + share * (100 - 2 * MARGIN), 2)

    @property
    def reference(self) -> float:
        """The place of "no difference"."""
        return self.at(1.0 if self.is_ratio else 0.0)

    def ticks(self) -> list[Tick]:
        """Return the ends and the reference."""
        middle = 1.0 if self.is_ratio else 0.0
        sign, unit = ("", "×") if self.is_ratio else ("+", "")
        return [
            Tick(self.at(self.low), f"{self.low:.3g}{unit}".replace("-", numbers.MINUS)),
            Tick(self.at(middle), f"{middle:.3g}{unit}"),
            Tick(self.at(self.high), f"{sign}{self.high:.3g}{unit}"),
        ]

    def whisker(self, interval: Interval | None, more_is_better: bool = True) -> Whisker | None:
        """Return where an interval lies, or None when there is nothing to draw."""
        if interval is None or math.isnan(interval.estimate):
            return None
        low = interval.estimate if interval.low is None else interval.low
        high = interval.estimate if interval.high is None else interval.high
        middle = 1.0 if self.is_ratio else 0.0
        standing: Literal["better", "worse", "open"] = "open"
        if interval.excludes(middle):
            standing = "better" if (low > middle) == more_is_better else "worse"
        return Whisker(
            dot=self.at(interval.estimate),
            low=self.at(low),
            high=self.at(high),
            cut_low=low < self.low,
            cut_high=high > self.high,
            standing=standing,
        )


def ratio_scale(intervals: Iterable[Interval | None]) -> Scale:
    """Return a symmetric log scale around 1 that holds the intervals, up to a factor of 32.

    Example:
        >>> ratio_scale([Interval(1.7, 1.2, 3.1)])
        Scale(low=0.25, high=4.0, is_ratio=True)
    """
    present = [interval for interval in intervals if interval is not None]
    reach = _reach(
        [abs(math.log2(one.estimate)) for one in present if _is_ratio(one.estimate)],
        [abs(math.log2(end)) for one in present for end in (one.low, one.high) if _is_ratio(end)],
    )
    reach = min(5, max(1, math.ceil(reach - 1e-9)))
    return Scale(2.0**-reach, 2.0**reach, is_ratio=True)


def difference_scale(intervals: Iterable[Interval | None]) -> Scale:
    """Return a symmetric scale around 0 that holds the intervals, its ends rounded up.

    Example:
        >>> difference_scale([Interval(0.004, -0.001, 0.013)])
        Scale(low=-0.02, high=0.02, is_ratio=False)
    """
    present = [interval for interval in intervals if interval is not None]
    reach = _reach(
        [abs(one.estimate) for one in present if math.isfinite(one.estimate)],
        [abs(end) for one in present for end in (one.low, one.high) if _is_finite(end)],
    )
    reach = max(reach, 1e-9)
    unit = 10.0 ** math.floor(math.log10(reach))
    digit = next(step for step in (1, 2, 5, 10) if step * unit >= reach * (1 - 1e-9))
    end = float(f"{digit * unit:.3g}")
    return Scale(-end, end, is_ratio=False)


@dataclass(frozen=True)
class Lane:
    """One side's times: a bar to the median and a dot for each seed, in percent."""

    slot: int
    label: str
    text: str
    bar: float | None
    dots: tuple[float, ...]
    num_missing: int


def lanes(times: Sequence[tuple[int, str, Sequence[float]]]) -> list[Lane]:
    """Return a lane for each (slot, label, seconds to target); infinity was never reached."""
    finite = [time for _, _, side in times for time in side if math.isfinite(time)]
    longest = max(finite, default=0.0) or 1.0
    return [_lane(slot, label, side, longest) for slot, label, side in times]


def _lane(slot: int, label: str, times: Sequence[float], longest: float) -> Lane:
    reached = sorted(time for time in times if math.isfinite(time))
    ordered = sorted(times)
    middle = len(ordered) // 2
    median = ordered[middle]
    if len(ordered) % 2 == 0:
        median = (ordered[middle - 1] + median) / 2
    share = 100.0 - MARGIN
    return Lane(
        slot=slot,
        label=label,
        text=numbers.seconds(median),
        bar=round(share * median / longest, 2) if math.isfinite(median) else None,
        dots=tuple(round(share * time / longest, 2) for time in reached),
        num_missing=len(times) - len(reached),
    )


def share_bars(values: Sequence[float | None]) -> list[float | None]:
    """Return each value as a percentage of the largest, None where there is none.

    Example:
        >>> share_bars([50.0, None, 200.0])
        [25.0, None, 100.0]
    """
    known = [value for value in values if _is_finite(value)]
    largest = max(known, default=0.0)
    if largest <= 0:
        return [None] * len(values)
    return [round(100 * value / largest, 2) if _is_finite(value) else None for value in values]


def _reach(estimates: Sequence[float], ends: Sequence[float]) -> float:
    """Return how far a scale goes: to every estimate, but not after the ends of wild intervals.

    One interval over orders of magnitude would squeeze all others into a dot.
    """
    furthest = max(estimates, default=0.0)
    limit = 3 * statistics.median(ends) if ends else 0.0
    return max([furthest, *(end for end in ends if end <= limit)])


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _is_ratio(value: float | None) -> TypeGuard[float]:
    return _is_finite(value) and value > 0
