"""How long steps wait for their examples, measured while a training runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from slipstream.backends import Program
from slipstream.engine.recorder import Clock

T = TypeVar("T")


def waited_for(
    blocks: Iterable[T], program: Callable[[], Program], clock: Clock, one_at_a_time: bool
) -> Iterator[T]:
    """Yield blocks, and book under "wait" how long the device had nothing to do until they came.

    What is loaded while the device works on the block before is not waited for. All of the time
    counts as training.

    Args:
        blocks: The blocks.
        program: Returns what they are for: it may be another one after a while.
        clock: Where seconds are booked.
        one_at_a_time: Whether a block is held back until the one before is done: else a backend
            that takes orders without doing them at once would hold many in memory.
    """
    clock.add("wait", 0.0)
    source = iter(blocks)
    while True:
        start = time.perf_counter()
        try:
            block = next(source)
        except StopIteration:
            return
        seconds = time.perf_counter() - start
        if program().is_idle():
            clock.add("wait", seconds)
        elif one_at_a_time:
            program().settle()
        clock.add("train", time.perf_counter() - start)
        yield block
