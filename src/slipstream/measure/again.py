"""Asking once more where a worker was killed: that says nothing of what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from slipstream.measure.manager import Failed

AnswerType = TypeVar("AnswerType")


def once_more(ask: Callable[[], AnswerType | Failed]) -> AnswerType | Failed:
    """Return the answer to a question; where its process was killed meanwhile, to a second asking.

    Somebody may have killed it, or the system, for another program's hunger. What is killed twice
    is a fact of the question: most likely it needs more memory than there is.

    Args:
        ask: Asks a process that is alive; a fresh one the second time.

    Example:
        >>> answers = iter([Failed("out_of_memory", "killed", was_killed=True), 3])
        >>> once_more(lambda: next(answers))
        3
    """
    answer = ask()
    return ask() if isinstance(answer, Failed) and answer.was_killed else answer
