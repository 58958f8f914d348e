"""A task's own callbacks: made, looked at before a training begins, and called by its engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, final

import numpy as np

from slipstream.checkpoint import why_not_kept
from slipstream.errors import CallbackError, SlipstreamError, TaskError, line_of
from slipstream.task import Task

Callback = Callable[[Any], bool | None]
Answer = TypeVar("Answer")


def callbacks_of(task: Task) -> tuple[Callback, ...]:
    """Return new callbacks of a task, ready for one training.

    Each gets copies of events: what it does to them changes no record.

    Raises:
        TaskError: They cannot be made, one of them cannot be called with events, or has a state
            that cannot be kept.

    Example:
        >>> task = Task(model=dict, data=dict, loss="mse", callbacks=lambda: [print])
        >>> [callback.kind for callback in callbacks_of(task)]
        ['builtin_function_or_method']
    """
    if task.callbacks is None:
        return ()
    try:
        made = task.callbacks()
    except Exception as error:
        _refuse(_in_words(error), "Mend the function that makes them.", error)
    if not isinstance(made, list | tuple):
        _refuse(f"{type(made).__name__}", "Return a list: `return [MyCallback()]`.")
    return tuple(_ready(callback) for callback in made)


def _ready(callback: Any) -> Callback:
    name = type(callback).__name__
    if hasattr(callback, "on_epoch_end"):
        _refuse(
            f"{name}, which has Keras' hooks",
            "Give something to call with an event, like a class with `__call__(self, event)`. "
            "Keras' callbacks work in slipstream.fit(model, x, y, callbacks=[...]).",
        )
    if isinstance(callback, type) or not callable(callback):
        which = f"the class {callback.__name__}" if isinstance(callback, type) else name
        _refuse(which, "Give an object that can be called with an event.")
    has = [one for one in ("state", "restore") if callable(getattr(callback, one, None))]
    if len(has) == 1:
        _refuse(f"{name} with {has[0]}() alone", "Give it state() and restore(state), or neither.")
    if not has:
        return _Called(callback)
    kept = _Kept(callback)
    try:
        kept.state()
    except CallbackError as error:
        mend = "Return a dict of texts to numbers, texts, lists, dicts of these, and NumPy arrays."
        _refuse(str(error), mend, error)
    return kept


@final
class _Called:
    """A callback of the user's, called with copies of events.

    Args:
        callback: The user's.

    Attributes:
        kind: The name of its class.
    """

    def __init__(self, callback: Any) -> None:
        self.kind = type(callback).__name__
        self._callback = callback

    def __call__(self, event: Any) -> bool:
        """Call it; True asks to stop, and nothing else does."""
        answer = _asked(self.kind, lambda: self._callback(copy.deepcopy(event)))
        return isinstance(answer, bool | np.bool_) and bool(answer)


@final
class _Kept:
    """A callback of the user's that has a state; see `_Called`."""

    def __init__(self, callback: Any) -> None:
        self.kind = type(callback).__name__
        self._called = _Called(callback)
        self._callback = callback

    def __call__(self, event: Any) -> bool:
        """Call it; True asks to stop, and nothing else does."""
        return self._called(event)

    def state(self) -> dict[str, Any]:
        """Return its state.

        Raises:
            CallbackError: It cannot be kept.
        """
        state = _asked(f"{self.kind}.state()", self._callback.state)
        if not isinstance(state, Mapping):
            raise CallbackError(f"{self.kind} whose state() returns no mapping of texts")
        state = dict(state)
        if why := why_not_kept(state):
            raise CallbackError(f"{self.kind} whose state() returns {why}")
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Give it its state back."""
        _asked(f"{self.kind}.restore()", lambda: self._callback.restore(state))


def _asked(name: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except Exception as error:
        # By its own class, so that a lack of memory in it is not taken for the model's.
        raise CallbackError(f"the callback {name} raised {_in_words(error)}") from None


def _in_words(error: Exception) -> str:
    said = (str(error).strip() or "nothing more").splitlines()[0]
    return f"{type(error).__name__}{line_of(error)}: {said}"


def _refuse(came: str, mend: str, cause: Exception | None = None) -> NoReturn:
    if isinstance(cause, SlipstreamError):
        raise cause
    raise TaskError(
        "Task(callbacks=...) to return a list of what is called with each event",
        came,
        mend,
        code="SLP-247",
    ) from None
