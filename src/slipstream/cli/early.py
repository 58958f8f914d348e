"""Ctrl-C before a command has begun: imports nothing that takes time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143


@contextlib.contextmanager
def interrupts_end_it() -> Iterator[None]:
    """Within it Ctrl-C ends the process with 130 and a word, until `interrupts_are_told`.

    Outside the main thread, and where Ctrl-C means something else already, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def interrupts_are_told() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again: the command says what it means."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    with contextlib.suppress(OSError):
        os.write(2, b"Interrupted.\n")
    raise SystemExit(INTERRUPTED)
