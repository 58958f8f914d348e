"""Which hooks of the callbacks at hand have to be called when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras.src.utils.python_utils import is_default

BEGIN = ("on_batch_begin", "on_train_batch_begin")
END = ("on_batch_end", "on_train_batch_end")
TEST = ("on_test_batch_begin", "on_test_batch_end")

# Keras' own that override a hook of batches, yet do nothing in it where they save each epoch.
SAVE_EACH_EPOCH = ("ModelCheckpoint", "BackupAndRestore", "OrbaxCheckpoint")


@dataclass(frozen=True)
class Hooks:
    """What the callbacks of a fit want.

    Args:
        batch_begin: Those that have to be called before each batch, by class name.
        batch_end: Those that have to be called after each batch, with its logs.
        test_batch: Those that have to be called for each batch of a validation.
        has_users: Whether there are any besides History and the progress bar.
        bar: Keras' progress bar, or None.
    """

    batch_begin: tuple[str, ...]
    batch_end: tuple[str, ...]
    test_batch: tuple[str, ...]
    has_users: bool
    bar: Any

    @property
    def is_per_batch(self) -> bool:
        """Whether each batch has to be made by itself."""
        return bool(self.batch_begin or self.batch_end)

    @property
    def shows_progress(self) -> bool:
        """Whether somebody watches within an epoch."""
        return self.bar is not None and self.bar.verbose == 1


def read_hooks(callbacks: Any) -> Hooks:
    """Look through a Keras CallbackList, which has its model and parameters already."""
    bars = [c for c in callbacks.callbacks if isinstance(c, keras.callbacks.ProgbarLogger)]
    users = [c for c in callbacks.callbacks if not _is_keras_own(c)]
    return Hooks(
        batch_begin=_that_override(users, BEGIN),
        batch_end=_that_override(users, END),
        test_batch=_that_override(users, TEST),
        has_users=bool(users),
        bar=bars[-1] if bars else None,
    )


def flat(callbacks: Any) -> list[Any]:
    """Return what a user gave as callbacks, in any form that Keras takes, as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return list(keras.tree.flatten(callbacks)) if callbacks else []


def _that_override(callbacks: list[Any], hooks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        type(callback).__name__
        for callback in callbacks
        if any(not is_default(getattr(callback, hook)) for hook in hooks)
        and not _does_nothing(callback, hooks)
    )


def _is_keras_own(callback: Any) -> bool:
    return type(callback) in (keras.callbacks.History, keras.callbacks.ProgbarLogger)


def _does_nothing(callback: Any, hooks: tuple[str, ...]) -> bool:
    """Whether a callback of Keras overrides the hooks for settings that it does not have."""
    for name in SAVE_EACH_EPOCH:
        kind = getattr(keras.callbacks, name, None)
        if kind is not None and isinstance(callback, kind):
            return callback.save_freq == "epoch" and _are_of(callback, kind, hooks)
    if isinstance(callback, keras.callbacks.TensorBoard):
        # It would write the graph of a train_function that is a tf.function; Keras 3 has none.
        return (
            callback.update_freq == "epoch"
            and not callback.write_steps_per_second
            and not getattr(callback, "_should_trace", True)
            and _are_of(callback, keras.callbacks.TensorBoard, hooks)
        )
    return False


def _are_of(callback: Any, kind: type, hooks: tuple[str, ...]) -> bool:
    return not any(
        hook in vars(callback) or getattr(type(callback), hook) is not getattr(kind, hook)
        for hook in hooks
    )
