"""How often a run is saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from slipstream.errors import InputError

AUTO, OFF = "auto", "off"
FORMS = "'1 epoch', '200 updates', '30s', 'auto' or 'off'"
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?) ?(epochs?|updates?|s|m|min|h)", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

# Left to itself a run is saved where it was evaluated, and otherwise as often as this; in no case
# before so many times what a copy of its state took have gone by.
LONGEST_SECONDS = 30.0
SHORTEST_SECONDS = 1.0
COPIES_APART = 100.0


@dataclass(frozen=True)
class Every:
    """After how much training a run is saved; with all of it 0, it is left to the run.

    Args:
        epochs: Epochs, or parts of one.
        updates: Optimizer updates.
        seconds: Seconds.
    """

    epochs: float = 0.0
    updates: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what a text says, or None for "off".

        Raises:
            InputError: It is none of the forms.

        Example:
            >>> Every.parse("0.5 epochs")
            Every(epochs=0.5, updates=0, seconds=0.0)
            >>> Every.parse("2m").seconds, Every.parse("auto") == Every(), Every.parse("off")
            (120.0, True, None)
        """
        plain = text.strip().lower()
        if plain in (AUTO, OFF):
            return cls() if plain == AUTO else None
        match = _WRITTEN.fullmatch(plain)
        number = float(match[1]) if match else 0.0
        if match is None or number <= 0:
            raise InputError(
                f"how often to save: {FORMS}", f"'{text}'", "Write one of these.", code="SLP-013"
            )
        unit = match[2].lower()
        if unit in _SECONDS:
            return cls(seconds=number * _SECONDS[unit])
        if unit.startswith("epoch"):
            return cls(epochs=number)
        if not number.is_integer():
            raise InputError("a whole number of updates", f"'{text}'", "Round it.", code="SLP-014")
        return cls(updates=int(number))

    def in_updates(self, updates_per_epoch: int) -> int:
        """Return after how many updates it is time; 0 where that is a matter of seconds.

        Example:
            >>> Every(epochs=0.5).in_updates(7), Every(seconds=3).in_updates(7)
            (4, 0)
        """
        if self.epochs:
            return max(1, round(self.epochs * updates_per_epoch))
        return self.updates

    def is_due(self, seconds: float, evaluated: bool, copy_seconds: float) -> bool:
        """Whether it is time, where that is a matter of seconds.

        Args:
            seconds: How long ago the last save was begun, or the run.
            evaluated: Whether the run has just been evaluated.
            copy_seconds: How long the training waited for the last save.

        Example:
            >>> auto = Every()
            >>> auto.is_due(2.0, True, 0.001), auto.is_due(2.0, False, 0.001)
            (True, False)
            >>> auto.is_due(40.0, True, 0.5), auto.is_due(60.0, False, 0.5)
            (False, True)
        """
        if self.seconds:
            return seconds >= self.seconds
        apart = max(SHORTEST_SECONDS, COPIES_APART * copy_seconds)
        return seconds >= max(apart, 0.0 if evaluated else LONGEST_SECONDS)
