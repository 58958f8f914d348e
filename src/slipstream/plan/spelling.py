"""From what a validator says to what a person can mend."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slipstream.errors import PlanError, together
from slipstream.plan.clashes import ClashError
from slipstream.plan.usual_words import usual_value_for, usual_word_for

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


def nearest_in_plan(given: str, keys: Sequence[str]) -> str:
    """Return the key that is most likely meant by one that plans do not have.

    Args:
        given: A dotted key, or a word by itself.
        keys: Those that plans have.

    Example:
        >>> keys = ["schedule.peak", "schedule.floor", "duration.epochs"]
        >>> [nearest_in_plan(given, keys) for given in ("lr", "epochs", "schedule.peek")]
        ['schedule.peak', 'duration.epochs', 'schedule.peak']
    """
    meant = _section_or_key(given, keys)
    # Of a section, what it is first of all about.
    return meant if "." in meant else next(key for key in keys if key.startswith(f"{meant}."))


def _section_or_key(given: str, keys: Sequence[str]) -> str:
    whole = {key.partition(".")[2]: key for key in reversed(keys)}
    sections = {key.partition(".")[0] for key in keys}
    if given in sections:
        return given
    # A key without its section is that key.
    known = usual_word_for(given) or whole.get(given, "")
    if known in keys:
        return known
    if "." in given:
        return nearest_key(given, keys)
    whole.update({section: section for section in sections})
    return whole[nearest_key(given, sorted(whole))]


def explain_validation_error(
    error: ValidationError,
    keys: Sequence[str],
    line: Callable[[ErrorDetails], str] | None = None,
) -> PlanError:
    """Turn what pydantic found into one error: the first problem, and below it the others.

    Args:
        error: What pydantic found.
        keys: Those that plans have.
        line: Returns where a problem stands, like ", line 3"; None where nobody knows.
    """
    return together(problems_of(error, keys, line))


def problems_of(
    error: ValidationError,
    keys: Sequence[str],
    line: Callable[[ErrorDetails], str] | None = None,
) -> list[PlanError]:
    """Return an error for each problem that pydantic found, each naming its key."""
    by_key: dict[str, list[ErrorDetails]] = {}
    for problem in error.errors():
        # Each member of a union tells why it does not take a value.
        by_key.setdefault(_dotted(problem), []).append(problem)
    return [
        _explained(members, keys, line(members[0]) if line is not None else "")
        for members in by_key.values()
    ]


def _explained(members: Sequence[ErrorDetails], keys: Sequence[str], where: str) -> PlanError:
    """Return the error of one key, from what each member of its union says."""
    first = members[0]
    dotted, kind = _dotted(first), first["type"]
    if kind == "extra_forbidden":
        is_section = isinstance(first["input"], dict) and "." not in dotted
        nearest = nearest_in_plan(dotted, keys)
        if is_section:
            nearest, _, _ = nearest.partition(".")
        return PlanError(
            "a key that plans have",
            f"{shown(dotted)}{where}",
            f"Did you mean '{nearest}'?",
            code="SLP-101",
        )
    if kind == "value_error":
        return _contradicting(first, dotted, where)
    if len(first["loc"]) == 1:
        return PlanError(
            f"[{dotted}] to be a section",
            f"the value {shown(first['input'])}{where}",
            f"Write [{dotted}] on a line of its own, and its keys below.",
            code="SLP-106",
        )
    allowed = " or ".join(_allowed(member) for member in members)
    return PlanError(
        f"'{dotted}' to be {allowed}",
        f"{shown(first['input'])}{where}",
        _advice(first["input"], allowed),
        code="SLP-102",
    )


def _contradicting(problem: ErrorDetails, dotted: str, where: str) -> PlanError:
    """Return the error of what a plan, or a section, says of several keys."""
    cause = problem["ctx"]["error"] if "ctx" in problem else problem["msg"]
    if isinstance(cause, ClashError):
        came, mend = _reason_and_mend(str(cause))
        return PlanError("keys of a plan that agree", f"{came}{where}", mend, code="SLP-104")
    came, mend = _reason_and_mend(str(cause), "Write it like that.")
    return PlanError(
        f"values that a plan's [{dotted}] can have", f"{came}{where}", mend, code="SLP-103"
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


def _allowed(problem: ErrorDetails) -> str:
    text = problem["msg"].removeprefix("Input should be ")
    return re.sub(r", (unable to|got) .*", "", text)


def _advice(given: object, allowed: str) -> str:
    words = re.findall(r"'([^']+)'", allowed)
    if isinstance(given, str) and "number" in allowed and "text like" not in allowed:
        return _as_number(given, words)
    if not words or not isinstance(given, str):
        return "Change that value."
    if usual_value_for(given) in words:
        return f"Did you mean '{usual_value_for(given)}'?"
    if "text like" in allowed:
        return f"Write it like '{words[0]}'."
    if not difflib.get_close_matches(given.lower()[:MOST_COMPARED], words, n=1, cutoff=0.6):
        return "Take one of these; 'slipstream techniques' says which keys each technique has."
    return f"Did you mean '{nearest_key(given, words)}'?"


def _as_number(given: str, words: Sequence[str]) -> str:
    """Return how to write a number that was not written as one.

    Example:
        >>> _as_number("50%", ()), _as_number("0,1", ())
        ('Write it as a share: 0.5.', 'Write it with a point: 0.1.')
    """
    number = re.fullmatch(r"\s*(\d{1,9}(?:[.,]\d{1,9})?)\s*(%?)\s*", given)
    if number and number[2]:
        return f"Write it as a share: {float(number[1].replace(',', '.')) / 100:g}."
    if number:
        return f"Write it with a point: {number[1].replace(',', '.')}."
    if not words:
        return "Write a number, like 3e-3 or 64."
    return f"Did you mean '{nearest_key(given, words)}'? Else write a number."


_SHORT = _short_repr()
