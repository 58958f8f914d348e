"""From what a validator says to what a person can mend."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import ValidationError

from slipstream.errors import PlanError


def nearest_key(given: str, keys: Sequence[str]) -> str:
    """Return the valid key that is spelt most like the given one.

    Example:
        >>> nearest_key("schedule.peek", ["batch.size", "schedule.peak"])
        'schedule.peak'
    """
    close = difflib.get_close_matches(given, keys, n=1, cutoff=0.0)
    return close[0]


def explain_validation_error(
    error: ValidationError, keys: Sequence[str], where: str = ""
) -> PlanError:
    """Turn the first problem pydantic found into one sentence that names the key."""
    first = error.errors()[0]
    # Unions add the member's name as a last part; the key is the first two.
    dotted = ".".join(str(part) for part in first["loc"][:2])
    if first["type"] == "extra_forbidden":
        if "." not in dotted:
            keys = sorted({key.partition(".")[0] for key in keys})
        return PlanError(
            "a key that plans have",
            f"'{dotted}'{where}",
            f"Did you mean '{nearest_key(dotted, keys)}'?",
        )
    if first["type"] == "value_error":
        sentence = str(first["ctx"]["error"]) if "ctx" in first else first["msg"]
        return PlanError("keys of a plan that agree", f"a contradiction{where}", f"{sentence}.")
    return PlanError(
        f"'{dotted}' to be as plans say",
        f"{first['input']!r}{where}",
        f"{first['msg'].removesuffix('.')}.",
    )
