"""A limit on the memory of a worker, so that what does not fit fails there and nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Bytes that a worker may take beyond what it holds once all is imported and loaded.
MEMORY_VARIABLE = "SLIPSTREAM_WORKER_MEMORY"
STATUS = Path("/proc/self/status")


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


def _held_bytes() -> int | None:
    """Return the private memory that counts for the limit; None outside of Linux."""
    if not STATUS.exists():
        return None
    found = re.search(r"^VmData:\s*(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
