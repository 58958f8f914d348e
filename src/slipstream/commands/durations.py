"""Lengths of time as people write and read them."""

from __future__ import annotations

import math
import re

from slipstream.errors import InputError

_NUMBER = r"(\d+(?:\.\d+)?)"
_WRITTEN = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?:in)?)?(?:{_NUMBER}s)?", re.IGNORECASE)


def parse_seconds(text: str | float) -> float:
    """Return the seconds in "90s", "5m", "1h" or "1m30s"; a number is seconds already.

    Raises:
        InputError: It is none of these, or no time at all.

    Example:
        >>> parse_seconds("1m30s"), parse_seconds("1h"), parse_seconds(45)
        (90.0, 3600.0, 45.0)
        >>> parse_seconds("10")
        Traceback (most recent call last):
        slipstream.errors.InputError: Expected a length of time, like 90s, 5m, 1h or 1m30s; \
got '10'. Did you mean '10m'? [SLP-011]
    """
    if isinstance(text, str):
        compact = text.replace(" ", "")
        match = _WRITTEN.fullmatch(compact)
        parts = [float(part or 0) for part in match.groups()] if match and compact else []
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    else:
        seconds = float(text)
    if not seconds > 0 or not math.isfinite(seconds):
        is_number = re.fullmatch(_NUMBER, str(text).strip()) is not None and float(text) > 0
        raise InputError(
            "a length of time, like 90s, 5m, 1h or 1m30s",
            f"'{text}'",
            f"Did you mean '{str(text).strip()}m'?" if is_number else "Write one of these forms.",
            code="SLP-011",
        )
    return seconds


def seconds_in_words(seconds: float | None) -> str:
    """Return seconds as people read them.

    Example:
        >>> [seconds_in_words(value) for value in (0.42, 8.26, 250, 4000, math.inf)]
        ['0.42 s', '8.3 s', '4 min 10 s', '1 h 07 min', 'never']
    """
    if seconds is None:
        return "-"
    if not math.isfinite(seconds):
        return "never"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60:02d} min"
