"""Every error Slipstream raises on purpose: what was expected, what came, how to mend it.

What each means, its cause and its cure, stands in `messages/`, under the error's identifier.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

# Of the problems of one plan, one command line or one data set; the rest is counted.
MOST_TOLD = 5
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|RESOURCE_EXHAUSTED|ResourceExhausted|OutOfMemory|out of memory|bad_alloc"
    r"|can't allocate memory|cannot allocate memory|OOM when allocating"
    r"|arena alloc failed",
    re.IGNORECASE,
)


class SlipstreamError(Exception):
    """The base of all errors that Slipstream raises on purpose.

    Args:
        expected: What was expected, without a full stop.
        came: What came instead, without a full stop.
        mend: One sentence that says what to do.
        code: The identifier of its entry in the catalogue, like "SLP-101"; "" for an error that a
            user's own code raises.

    Example:
        >>> error = SlipstreamError("labels from 0 to 9", "a label 10 in row 3", "Subtract 1.")
        >>> print(error)
        Expected labels from 0 to 9; got a label 10 in row 3. Subtract 1.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, expected: str, came: str, mend: str, *, code: str = "") -> None:
        super().__init__(expected, came, mend)
        self.expected = expected
        self.came = came
        self.mend = mend
        self.code = code

    def __str__(self) -> str:
        sentence = f"Expected {self.expected}; got {self.came}. {self.mend}"
        return f"{sentence} [{self.code}]" if self.code else sentence


class InputError(SlipstreamError):
    """Something that the user gave cannot be used. The command exits with 2."""

    exit_code: ClassVar[int] = 2


class PlanError(InputError):
    """A plan that is misspelt, out of range, or contradicts itself."""


class TaskError(InputError):
    """A task that cannot be imported, built or loaded."""


class DataError(InputError):
    """Data that cannot be trained on as they are."""


class BackendError(InputError):
    """A backend that is not installed, or not the one this process runs on."""


class RecordError(InputError):
    """A run folder that cannot be read, or records that must not be compared."""


class TrainingError(SlipstreamError):
    """A training that began and could not go on. The command exits with 1."""


class StorageError(TrainingError):
    """A disk that did not take what was to be kept: full, read-only, or failing."""


class CallbackError(Exception):
    """A callback of the user's raised an error, or has a state that cannot be kept."""


ErrorType = TypeVar("ErrorType", bound=SlipstreamError)


def together(errors: Sequence[ErrorType]) -> ErrorType:
    """Return several errors as one: the first, and below its mend a line for each other one.

    Example:
        >>> print(together([InputError("a", "b", "Mend b."), InputError("c", "d", "Mend d.")]))
        Expected a; got b. Mend b.
          1 more problem was found:
          - Expected c; got d. Mend d.
    """
    first, *others = errors
    mend = first.mend + more_problems([str(error) for error in others])
    return type(first)(first.expected, first.came, mend, code=first.code)


def more_problems(sentences: Sequence[str]) -> str:
    """Return a line for each further problem, to stand below the first; those too many are counted.

    Args:
        sentences: What is said of each; "" is returned where there is none.
    """
    count = len(sentences)
    if not count:
        return ""
    shown = [f"- {sentence}" for sentence in sentences[: MOST_TOLD - 1]]
    if count > len(shown):
        shown.append(f"- and {count - len(shown)} more.")
    head = f"{count} more problem{'s were' if count > 1 else ' was'} found:"
    # Indented as the command's own lines are, under its first one.
    return "".join(f"\n  {line}" for line in [head, *shown])


def line_of(error: BaseException) -> str:
    """Return the user's own line that raised an error, like " in task.py, line 7"; "" if none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _is_library(filename: str) -> bool:
    is_ours = Path(__file__).parent in Path(filename).parents
    return (
        is_ours or filename[:1] == "<" or "site-packages" in filename or "/lib/python" in filename
    )


def tells_of_memory(text: str) -> bool:
    """Whether a message, of whichever backend or system, says that memory ran out.

    Example:
        >>> tells_of_memory("DefaultCPUAllocator: can't allocate memory: you tried")
        True
    """
    return _OUT_OF_MEMORY.search(text) is not None
