"""What a training does about memory: the same updates from smaller batches, and what it keeps."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import final

from slipstream.engine.events import Evaluated, Event, Started
from slipstream.errors import CallbackError, tells_of_memory
from slipstream.record import Signal

# Handing back takes milliseconds, and what is taken again is cleared by the system.
SELDOM_SECONDS = 1.0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, whichever backend it comes from.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("shapes"))
        (True, False)
        >>> is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
        True
    """
    if isinstance(error, CallbackError):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if tells_of_memory(f"{type(cause).__name__}: {cause}"):
            return True
        cause = cause.__cause__
    return False


def note_of_split(before: int, at_a_time: int, parts: int, failed_at: int, update: int) -> str:
    """Return what a record says of a training that goes on with smaller batches.

    Args:
        before: Examples that were taken at a time.
        at_a_time: Examples that are taken from now on.
        parts: How many such batches make an update.
        failed_at: After how many updates memory ran out.
        update: From which update on it is made anew.
    """
    return (
        f"Out of memory with {before} examples at a time, after update {failed_at}: from update "
        f"{update} on {at_a_time} are taken at a time and the gradients of {parts} such "
        "batches make an update. It is the same update but for layers that look at a whole "
        "batch (BatchNormalization), and for random numbers."
    )


def signal_of_split(before: int, at_a_time: int, parts: int, update: int, epoch: float) -> Signal:
    """Return what a user is told of it; see `note_of_split`."""
    return Signal(
        epoch=epoch,
        step=update,
        kind="out_of_memory",
        seen=f"no memory for {before} examples at a time; it goes on with {at_a_time}",
        advice=f"Set batch.size = {at_a_time} and batch.accumulation = {parts}: the same "
        "updates, and no time lost over what does not fit.",
    )


def smaller_part(of_update: int, at_a_time: int) -> int | None:
    """Return how many examples to take at a time after memory ran out; None where it is one.

    The largest divisor of an update's examples that is at most half of what there was: such
    micro-batches are of one size, and together they are the update that the plan asks for.

    Args:
        of_update: Examples of an update.
        at_a_time: Examples of a micro-batch so far.

    Example:
        >>> smaller_part(64, 64), smaller_part(96, 32), smaller_part(33, 33), smaller_part(8, 1)
        (32, 16, 11, None)
    """
    smaller = range(at_a_time // 2, 0, -1)
    return next((size for size in smaller if of_update % size == 0), None)


@final
class HandBack:
    """Observer that gives the system back what the allocator keeps for later.

    Each thread that decodes, and each step, leaves freed memory of its own behind. Together that
    is more than the examples themselves: a budget would not hold.
    """

    def __init__(self) -> None:
        self._done_at = -SELDOM_SECONDS

    def __call__(self, event: Event) -> None:
        """Do so as a training starts, and after evaluations; never asks to stop."""
        now = time.monotonic()
        if isinstance(event, Started | Evaluated) and now - self._done_at >= SELDOM_SECONDS:
            self._done_at = now
            hand_back()


def hand_back() -> bool:
    """Give freed memory back to the system; returns whether the C library can be asked to."""
    if sys.platform != "linux":
        return False
    # GNU's alone has it.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
