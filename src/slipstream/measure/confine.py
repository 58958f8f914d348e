"""A limit on the memory of a worker, so that what does not fit fails there and nowhere else."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

# Bytes that a worker may take beyond what it holds once all is imported and loaded.
MEMORY_VARIABLE = "SLIPSTREAM_WORKER_MEMORY"
STATUS = Path("/proc/self/status")
# How native code ends that gets no memory and cannot say so: it gives up, or writes to nowhere.
SIGNALS_OF_NO_MEMORY = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)
# What libraries say that could not make a thing, and leave out that they got no memory for it.
WORDS_OF_NO_MEMORY = (
    "could not create a primitive",
    "could not execute a primitive",
    "can't start new thread",
)


def confine() -> bool:
    """Limit this process's own memory as the environment says.

    Returns:
        False where nothing says so, or where the system has no such limit.
    """
    wanted = os.environ.get(MEMORY_VARIABLE)
    held = _held_bytes()
    if not wanted or held is None:
        return False
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + int(wanted), most))
    return True


def is_silent_lack(end: int | str | None) -> bool:
    """Whether a limited process's exit code, or its last words, are those of a lack of memory.

    Example:
        >>> is_silent_lack("RuntimeError: could not create a primitive"), is_silent_lack(1)
        (True, False)
    """
    if isinstance(end, str):
        return any(words in end for words in WORDS_OF_NO_MEMORY)
    return end in SIGNALS_OF_NO_MEMORY


def _held_bytes() -> int | None:
    """Return the private memory that counts for the limit; None outside of Linux."""
    if not STATUS.exists():
        return None
    found = re.search(r"^VmData:\s*(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
