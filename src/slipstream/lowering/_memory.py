"""Keeping freed memory in the process, so that the next step need not fetch it anew."""

from __future__ import annotations

import ctypes
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SIZES = (2**30, 2**25)


@cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed; return whether it took it.

    By default it gives large blocks back to the system at once. The next step's activations then
    come as new pages, each of which costs a page fault and is cleared first: 5 to 15 % of the
    step of a small convolutional net on a CPU. What is kept is used again, so the peak stays.
    Other C libraries than glibc are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = bool(mallopt(_M_TRIM_THRESHOLD, _SIZES[0]))
    # Some versions take no threshold beyond 32 MiB.
    return kept and any(mallopt(_M_MMAP_THRESHOLD, size) for size in _SIZES)
