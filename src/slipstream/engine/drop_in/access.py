"""Handing the model to callbacks in the middle of a fit, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from slipstream.backends import Program


@final
class Access:
    """Knows who has the state: the program, or Keras' variables.

    On JAX the state lives in the program. Keras has its callbacks call `jax_state_sync` whenever
    they touch `callback.model`: there the state is handed over, and a callback that only prints
    costs nothing. On the other backends Keras' variables are the state.

    Args:
        model: The model. Until a program is in use, its variables hold the state.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._program: Program | None = None
        self._given = True
        self._is_lazy = hasattr(model, "jax_state_sync")

    def use(self, program: Program) -> None:
        """Go on with a program that takes the state from Keras' variables."""
        self._program = program
        self._given = True

    def give(self) -> None:
        """Let Keras' variables hold the state."""
        if self._program is not None and not self._given:
            self._given = True
            self._program.synchronize()

    def give_when_asked(self) -> None:
        """The same, on JAX when somebody asks for it."""
        if not self._is_lazy:
            self.give()

    def take(self) -> None:
        """Let the program have the state, with what has been changed meanwhile."""
        if self._program is not None and self._given:
            self._program.resume()
            self._given = False

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Within it Keras' request for the state on JAX is answered by this object too."""
        if not self._is_lazy:
            yield
            return
        keras_sync = self._model.jax_state_sync

        def sync() -> None:
            self.give()
            keras_sync()

        # Past Keras' own __setattr__, which would look for variables in it.
        self._model.__dict__["jax_state_sync"] = sync
        try:
            yield
        finally:
            self._model.__dict__.pop("jax_state_sync", None)
