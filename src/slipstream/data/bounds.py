"""What a file declares, held against file and memory before anything of that size is made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import psutil

# Deflate cannot pack more than 1,032 bytes into one: two bits for 258 bytes.
MAX_DEFLATE_RATIO = 1032


def free_bytes() -> int:
    """Return how much memory can be had without swapping."""
    return int(psutil.virtual_memory().available)


def why_too_large(shape: Sequence[int], item_bytes: int, most_bytes: int) -> str:
    """Return why an array that a header declares is not read; "" where it can be.

    Args:
        shape: The shape that is declared.
        item_bytes: Bytes of one value.
        most_bytes: What the file can hold, unpacked.

    Example:
        >>> why_too_large((4, 2**40), 8, most_bytes=1000)
        'a header that declares 35184372088832 bytes, more than the file can hold'
        >>> why_too_large((4, 2), 8, most_bytes=1000)
        ''
    """
    declared = math.prod(shape) * item_bytes
    # Without a value there are no bytes: axes alone can be endless.
    if declared > most_bytes or (not declared and max(shape, default=0) > most_bytes):
        many = f"{declared} bytes" if declared else f"{max(shape)} rows without a value"
        return f"a header that declares {many}, more than the file can hold"
    return why_no_room(declared)


def why_no_room(num_bytes: int) -> str:
    """Return why there is no room for so many bytes; "" where there is.

    Example:
        >>> why_no_room(1)
        ''
    """
    free = free_bytes()
    if num_bytes <= free:
        return ""
    needed, there = (f"{size / 2**20:,.0f} MiB" for size in (num_bytes, free))
    return f"{needed} of values, where {there} of memory are free"


def first_line(error: BaseException) -> str:
    """Return what a library said, in one line.

    Example:
        >>> first_line(ValueError("a\\nb"))
        'ValueError: a'
    """
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]:.200}" if said else type(error).__name__
