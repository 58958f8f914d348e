"""Every error Slipstream raises on purpose: what was expected, what came, how to mend it.

What each means, its cause and its cure, stands in `messages/`, under the error's identifier.
"""

from __future__ import annotations

import re
from typing import ClassVar

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


def tells_of_memory(text: str) -> bool:
    """Whether a message, of whichever backend or system, says that memory ran out.

    Example:
        >>> tells_of_memory("DefaultCPUAllocator: can't allocate memory: you tried")
        True
    """
    return _OUT_OF_MEMORY.search(text) is not None
