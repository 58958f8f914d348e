"""Keeping freed memory in the process, so that the next step need not fetch it anew."""

from __future__ import annotations

import ctypes
from functools import cache

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed; return whether it took it.

    By default it gives memory back to the system as soon as a step has freed its activations. The
    next step's then come as new pages, each of which costs a page fault and is cleared first: 5 to
    15 % of the step of a small convolutional net on a CPU. What is kept is used again, so the peak
    stays. Blocks beyond 32 MiB, which is as far as the library goes by itself, are given back as
    ever. Other C libraries than glibc are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, 2**30) and mallopt(_M_MMAP_THRESHOLD, 2**25))
