"""Ctrl-C and SIGTERM: a wish first, an order when it is not met; what comes after is left out."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, Self, final

# What was asked to end is to be gone within ten seconds.
PATIENCE_SECONDS = 7.0


@final
class Terminated(KeyboardInterrupt):
    """SIGTERM asked the program to end, as Ctrl-C does."""


@final
class Asked:
    """Whether the user wants it to end, and by which signal."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: int = signal.SIGINT

    @classmethod
    def by(cls, error: KeyboardInterrupt) -> Self:
        """Return that it was asked by what an interruption stands for."""
        asked = cls()
        asked.set(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
        return asked

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._event.is_set()

    def set(self, number: int) -> None:
        """Note that a signal asked for it."""
        self.signal = number
        self._event.set()

    def interrupt(self) -> NoReturn:
        """Raise what the signal stands for."""
        raise _error_of(self.signal)


@final
class _Once:
    """A handler that raises the first time, and never again."""

    def __init__(self) -> None:
        self.is_spent = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.is_spent:
            self.is_spent = True
            raise _error_of(number)


@contextlib.contextmanager
def interrupts_raise_once() -> Iterator[None]:
    """Within it Ctrl-C or SIGTERM raises; what comes after does nothing: it is leaving already.

    Outside the main thread, and for signals that mean something else already, nothing is changed.

    Example:
        >>> with interrupts_raise_once():
        ...     try:
        ...         signal.raise_signal(signal.SIGTERM)
        ...     except KeyboardInterrupt as error:
        ...         signal.raise_signal(signal.SIGINT)
        ...         type(error).__name__
        'Terminated'
    """
    usual = (signal.default_int_handler, signal.SIG_DFL)
    with _handled(_Once(), lambda number: signal.getsignal(number) in usual):
        yield


@contextlib.contextmanager
def first_interrupt_asks(
    on_asked: Callable[[], None] = lambda: None, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[Asked]:
    """Within it the first Ctrl-C or SIGTERM asks; when patience ends, it interrupts.

    Further signals change nothing. Outside the main thread, and for signals that are ignored,
    nothing is changed.

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
    asked, over = Asked(), threading.Event()
    order = _Once()

    def give_order() -> None:
        over.set()
        _interrupt(asked.signal)

    timer = threading.Timer(patience_seconds, give_order)
    timer.daemon = True

    def handle(number: int, frame: FrameType | None) -> None:
        if over.is_set():
            order(asked.signal, frame)
        elif not asked.is_set():
            asked.set(number)
            # Not here: a signal may come in the middle of a write to the terminal.
            threading.Thread(target=on_asked, daemon=True).start()
            timer.start()

    with _handled(handle, lambda number: signal.getsignal(number) != signal.SIG_IGN) as previous:
        try:
            yield asked
        finally:
            timer.cancel()
            for handler in previous:
                if isinstance(handler, _Once) and asked.is_set():
                    # It is leaving: whoever is to be told of it first was told.
                    handler.is_spent = True


@contextlib.contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], which: Callable[[int], bool]
) -> Iterator[list[Any]]:
    """Within it some signals are handled; yields what handled them before."""
    numbers: list[int] = []
    if threading.current_thread() is threading.main_thread():
        numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if which(n)]
    previous = [signal.signal(number, handler) for number in numbers]
    try:
        yield previous
    finally:
        for number, before in zip(numbers, previous, strict=True):
            # None: whoever set it did not do so from Python.
            signal.signal(number, signal.SIG_DFL if before is None else before)


def _error_of(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _interrupt(number: int) -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        # A real signal also wakes a main thread that waits for a worker's next word.
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main()
