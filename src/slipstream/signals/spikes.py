"""Losses that stand out from those just before them. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, final

# From the median of absolute deviations to the standard deviation of a normal distribution.
TO_STANDARD = 1.4826
# Losses that hardly vary deviate by at least this share of their median.
LEAST = 0.05
# The limit is computed anew after this part of a window.
PART = 4


@final
class Spikes:
    """Compares each loss of a training with those before it.

    limit = median + deviations * max(1.4826 * median(|loss - median|), 0.05 * |median|)

    over a window of losses, none of which was a spike; it is computed anew after each quarter of
    a window. Until a window is full nothing is a spike.

    Args:
        deviations: How many deviations above the median a loss is a spike.
        window: How many losses it is compared with.

    Source: F. Hampel, "The influence curve and its role in robust estimation", 1974.

    Example:
        >>> spikes = Spikes(deviations=10.0, window=4)
        >>> spikes.first([1.0, 1.1, 0.9, 1.0, 1.2, 7.0, 1.0])
        5
    """

    def __init__(self, deviations: float, window: int) -> None:
        self._deviations = deviations
        self._recent: deque[float] = deque(maxlen=window)
        self._since = 0
        self.middle = 0.0
        self.limit = math.inf

    def first(self, losses: Sequence[float]) -> int | None:
        """Take losses in, and return the place of the first spike, which is not taken in."""
        for place, loss in enumerate(losses):
            if loss > self.limit:
                return place
            self._take(loss)
        return None

    def state(self) -> dict[str, Any]:
        """Return what it knows, as plain values."""
        return {
            "recent": list(self._recent),
            "since": self._since,
            "middle": self.middle,
            "limit": None if math.isinf(self.limit) else self.limit,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned."""
        self._recent = deque(state["recent"], self._recent.maxlen)
        self._since = state["since"]
        self.middle = state["middle"]
        self.limit = math.inf if state["limit"] is None else state["limit"]

    def _take(self, loss: float) -> None:
        window = self._recent.maxlen or 1
        self._recent.append(loss)
        self._since += 1
        if len(self._recent) < window or self._since < max(1, window // PART):
            return
        self._since = 0
        self.middle = median(self._recent)
        deviation = TO_STANDARD * median([abs(one - self.middle) for one in self._recent])
        self.limit = self.middle + self._deviations * max(deviation, LEAST * abs(self.middle))
