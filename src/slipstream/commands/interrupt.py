"""Ctrl-C as a wish first, and as an order the second time or when the wish is not met."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

PATIENCE_SECONDS = 15.0


@contextlib.contextmanager
def first_interrupt_asks(
    on_asked: Callable[[], None] = lambda: None, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[threading.Event]:
    """Within it the first Ctrl-C sets the event; the second, or the end of patience, interrupts.

    Outside the main thread, and where interrupts are ignored, nothing is changed.

    Args:
        on_asked: Called after the first one, in a thread of its own: the main thread may wait long
            for a worker's next word.
        patience_seconds: How long after the first one KeyboardInterrupt is raised anyway.

    Example:
        >>> with first_interrupt_asks() as asked:
        ...     signal.raise_signal(signal.SIGINT)
        ...     asked.is_set()
        True
    """
    asked = threading.Event()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield asked
        return
    timer = threading.Timer(patience_seconds, _interrupt)
    timer.daemon = True

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not here: a signal may come in the middle of a write to the terminal.
        threading.Thread(target=on_asked, daemon=True).start()
        timer.start()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, previous)


def _interrupt() -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        # A real signal also wakes a main thread that waits for a worker's next word.
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
