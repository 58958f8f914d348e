"""A task's own callbacks: made, and looked at before a training begins."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from slipstream.errors import TaskError
from slipstream.task import Task

Callback = Callable[[Any], bool | None]


def callbacks_of(task: Task) -> tuple[Callback, ...]:
    """Return new callbacks of a task, ready for one training.

    Raises:
        TaskError: One of them cannot be called with events, or has a state that cannot be kept.

    Example:
        >>> task = Task(model=dict, data=dict, loss="mse", callbacks=lambda: [print])
        >>> callbacks_of(task) == (print,)
        True
    """
    if task.callbacks is None:
        return ()
    made = task.callbacks()
    if not isinstance(made, list | tuple):
        _refuse(f"{type(made).__name__}", "Return a list: `return [MyCallback()]`.")
    for callback in made:
        _check(callback)
    return tuple(made)


def _check(callback: Any) -> None:
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
    if has:
        _check_state(name, callback.state())


def _check_state(name: str, state: Any) -> None:
    mend = "Return a dict of texts to numbers, texts, lists, dicts of these, and NumPy arrays."
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        _refuse(f"{name} whose state() returns no mapping of texts", mend)
    for key, value in state.items():
        try:
            is_kept = not isinstance(value, np.ndarray) or value.dtype != object
            if not isinstance(value, np.ndarray):
                json.dumps(value)
        except (TypeError, ValueError):
            is_kept = False
        if not is_kept:
            _refuse(f"{name} whose state() holds a {type(value).__name__} ('{key}')", mend)


def _refuse(came: str, mend: str) -> NoReturn:
    raise TaskError(
        "Task(callbacks=...) to return a list of what is called with each event",
        came,
        mend,
        code="SLP-247",
    )
