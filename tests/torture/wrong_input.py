"""Input with something wrong in it, and what must be said of it.

What is expected is known from how a case was made, never asked of what is tested.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from difflib import SequenceMatcher

REFUSED, ANY = (2,), (0, 2)
LETTERS = string.ascii_lowercase + "_"


@dataclass(frozen=True)
class Case:
    """A command line, what must come of it, and what its message must hold.

    Args:
        what: How it was made.
        arguments: The command line.
        codes: The exit codes that are right.
        says: What the message must hold.
        identifier: The message's identifier, or "" for any.
        typo: What was misspelt, and all that it could have been; the message must offer one that
            no other is nearer to.
    """

    what: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...] = REFUSED
    says: tuple[str, ...] = ()
    identifier: str = ""
    typo: tuple[str, tuple[str, ...]] | None = None


def nearness(given: str, name: str) -> float:
    """Return how alike two names are, from 0 to 1."""
    return SequenceMatcher(None, name, given).ratio()


def misspelt(word: str, draw: random.Random) -> str:
    """Return a word with one or two letters gone, doubled, swapped or exchanged."""
    letters = list(word)
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(letters))
        how = draw.randrange(4)
        if how == 0 and len(letters) > 2:
            del letters[at]
        elif how == 1:
            letters.insert(at, letters[at])
        elif how == 2 and at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = draw.choice(LETTERS)
    return "".join(letters)
