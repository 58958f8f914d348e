"""What tells one task from another: its sources and settings, not its name."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any

from slipstream.task import Task


def fingerprint(task: Task) -> str:
    """Return 12 hexadecimal characters that change when the task does."""
    parts = [
        task.name,
        task.monitor,
        task.better,
        repr(_plain(task.loss)),
        repr(_plain(task.metrics)),
        repr(task.loss_weights),
        _source(task.model),
        _source(task.data),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _source(function: Callable[..., Any]) -> str:
    if isinstance(function, partial):
        # Paths may differ from machine to machine; names and digests tell what is meant.
        texts = [argument for argument in function.args if isinstance(argument, str)]
        return _source(function.func) + repr(texts)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        name = getattr(function, "__qualname__", type(function).__name__)
    # Written in a notebook or a shell: there is no source to read, but what it was compiled to.
    code = getattr(function, "__code__", None)
    return name if code is None else name + _code(code)


def _code(code: CodeType) -> str:
    constants = [
        _code(value)
        if isinstance(value, CodeType)
        else repr(sorted(value, key=repr) if isinstance(value, frozenset) else value)
        for value in code.co_consts
    ]
    return repr((code.co_code, code.co_names, constants))


def _plain(value: Any) -> Any:
    """Return a value whose repr has no address in it."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "get_config"):
        return type(value).__name__, repr(sorted(value.get_config().items(), key=str))
    return getattr(value, "__name__", type(value).__name__)
