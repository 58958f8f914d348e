"""Built-in tasks, and the references from which a fresh process rebuilds any task."""

from slipstream.tasks._callbacks import callbacks_of
from slipstream.tasks._references import absolute, describe, names, resolve

__all__ = ["absolute", "callbacks_of", "describe", "names", "resolve"]
