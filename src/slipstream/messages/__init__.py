"""Every message for users in one place: its identifier, what it is about, its cause and its cure.

The sentences themselves stand where they are raised, each with its identifier. The files of this
folder say what they mean; what checks of data find is told by the checks. docs/errors.md is made
of both.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from slipstream.errors import InputError

__all__ = ["Entry", "all_entries", "code_of_signal", "get"]


@dataclass(frozen=True)
class Entry:
    """One kind of message.

    Args:
        code: Its identifier, like "SLP-101". It is never given to another message.
        title: What is wrong, in a few words.
        cause: Why that is told or refused.
        cure: What to do.
        kind: What a run shows, like "overfitting", where that is what is told.
    """

    code: str
    title: str
    cause: str
    cure: str
    kind: str = ""


@cache
def all_entries() -> dict[str, Entry]:
    """Return every entry by its identifier, in the order of these.

    Example:
        >>> all_entries()["SLP-101"].title
        'A key that plans do not have'
    """
    found = [*_written(), *_of_checks()]
    return {entry.code: entry for entry in sorted(found, key=lambda entry: entry.code)}


def get(code: str) -> Entry:
    """Return the entry of an identifier; case, and what stands before the number, may be left out.

    Raises:
        InputError: No message has it.

    Example:
        >>> get("slp-101") is get("101") is get("SLP-101")
        True
    """
    number = re.sub(r"^\s*\[?\s*(slp)?[-_ ]?", "", code.rstrip(" ]:."), flags=re.IGNORECASE)
    known = all_entries()
    wanted = f"SLP-{number.zfill(3)}"
    if wanted not in known:
        raise InputError(
            "the identifier of a message, like SLP-101",
            repr(code[:80]),
            f"{_instead(wanted, known)}'slipstream explain' lists all.",
            code="SLP-023",
        )
    return known[wanted]


def _instead(wanted: str, known: Iterable[str]) -> str:
    # Words are like no number.
    return f"Did you mean '{_nearest(wanted, known)}'? " if re.search(r"\d", wanted[4:]) else ""


def _nearest(wanted: str, known: Iterable[str]) -> str:
    """Return the identifier whose number is nearest, or that is spelt most alike."""
    digits = "".join(letter for letter in wanted if letter in "0123456789")
    if 0 < len(digits) <= 4:
        return min(known, key=lambda code: abs(int(code[4:]) - int(digits)))
    return difflib.get_close_matches(wanted[:100], list(known), n=1, cutoff=0.0)[0]


@cache
def code_of_signal(kind: str) -> str:
    """Return the identifier of what a run shows; "" for a kind that has none.

    Example:
        >>> code_of_signal("overfitting")
        'SLP-511'
    """
    return next((entry.code for entry in _written() if entry.kind == kind), "")


@cache
def _written() -> tuple[Entry, ...]:
    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml"))
    return tuple(
        Entry(code, **values)
        for file in sorted(files, key=lambda file: file.name)
        for code, values in tomllib.loads(file.read_text("utf-8")).items()
    )


def _of_checks() -> list[Entry]:
    # What signals mean is asked for by every run, and checks need NumPy.
    from slipstream.doctor import catalogue

    return [Entry(one.code, one.title, cause, one.cure) for one, cause in catalogue()]
