"""From what a validator says to what a person can mend."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slipstream.errors import PlanError
from slipstream.plan.clashes import ClashError

MOST_BITS = 256
# A key or word of thousands of letters is compared by its beginning.
MOST_COMPARED = 100


def nearest_key(given: str, keys: Sequence[str]) -> str:
    """Return the valid key that is spelt most like the given one.

    Example:
        >>> nearest_key("schedule.peek", ["batch.size", "schedule.peak"])
        'schedule.peak'
    """
    close = difflib.get_close_matches(given.lower()[:MOST_COMPARED], keys, n=1, cutoff=0.0)
    return close[0]


def explain_validation_error(
    error: ValidationError, keys: Sequence[str], where: str = ""
) -> PlanError:
    """Turn the first problem pydantic found into one sentence that names the key."""
    first, *others = error.errors()
    # Unions add the member's name as a last part; the key is the first two.
    dotted = _dotted(first)
    if first["type"] == "extra_forbidden":
        return PlanError(
            "a key that plans have",
            f"{shown(dotted)}{where}",
            f"Did you mean '{_nearest_of_any_form(dotted, keys)}'?",
            code="SLP-101",
        )
    if first["type"] == "value_error":
        cause = first["ctx"]["error"] if "ctx" in first else first["msg"]
        if isinstance(cause, ClashError):
            came, mend = _reason_and_mend(str(cause))
            return PlanError("keys of a plan that agree", f"{came}{where}", mend, code="SLP-104")
        came, mend = _reason_and_mend(str(cause), "Write it like that.")
        return PlanError(
            f"values that a plan's [{dotted}] can have", f"{came}{where}", mend, code="SLP-103"
        )
    same_key = [first, *(other for other in others if _dotted(other) == dotted)]
    allowed = " or ".join(_allowed(member) for member in same_key)
    return PlanError(
        f"'{dotted}' to be {allowed}",
        f"{shown(first['input'])}{where}",
        _advice(first["input"], allowed),
        code="SLP-102",
    )


def shown(value: object) -> str:
    """Return a value as text, cut where it is long.

    Example:
        >>> shown("sgd"), shown(0x10**100)
        ("'sgd'", 'a number of 401 bits')
    """
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        # Python refuses to write out numbers of thousands of digits.
        return f"a number of {value.bit_length()} bits"
    return _SHORT.repr(value)


def _short_repr() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 80, 80
    return short


def _reason_and_mend(sentence: str, mend: str = "") -> tuple[str, str]:
    """Return what is wrong and what to do about it, from a sentence that ends with the latter.

    One that does not is told with `mend`, or else is what to do about it.

    Example:
        >>> _reason_and_mend("a and b are two averages: set one of them to 0")
        ('a and b are two averages', 'Set one of them to 0.')
    """
    parts = re.fullmatch(r"(.*)[:;] ((?:set|name|elsewhere|switch|did you|write) .*)", sentence)
    if parts is None:
        return (sentence, mend) if mend else ("a contradiction", f"{sentence}.")
    mend = parts[2][0].upper() + parts[2][1:]
    return parts[1], f"{mend}{'?' if mend.startswith('Did') else '.'}"


def _dotted(problem: ErrorDetails) -> str:
    return ".".join(str(part) for part in problem["loc"][:2])


def _nearest_of_any_form(given: str, keys: Sequence[str]) -> str:
    if "." in given:
        return nearest_key(given, keys)
    # A section's name, or a key whose section was left out.
    whole = {key.partition(".")[2]: key for key in keys}
    whole.update({key.partition(".")[0]: key.partition(".")[0] for key in keys})
    return whole[nearest_key(given, sorted(whole))]


def _allowed(problem: ErrorDetails) -> str:
    text = problem["msg"].removeprefix("Input should be ")
    return re.sub(r", (unable to|got) .*", "", text)


def _advice(given: object, allowed: str) -> str:
    words = re.findall(r"'([^']+)'", allowed)
    if not words or not isinstance(given, str):
        return "Change that value."
    if "text like" in allowed:
        return f"Write it like '{words[0]}'."
    if not difflib.get_close_matches(given.lower()[:MOST_COMPARED], words, n=1, cutoff=0.6):
        return "Take one of these; 'slipstream techniques' says which keys each technique has."
    return f"Did you mean '{nearest_key(given, words)}'?"


_SHORT = _short_repr()
