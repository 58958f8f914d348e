"""A Keras model that runs through native kernels wherever a rule knows how."""

from __future__ import annotations

import contextlib
from typing import Any, final

from keras.src import backend

from slipstream.lowering._graph import Graph, NotAGraphError
from slipstream.lowering._memory import keep_freed_memory
from slipstream.lowering._rule import Fallback


@final
class Lowered:
    """Calls a Keras model as `model(x, training=...)` does, natively.

    Args:
        model: A built functional or Sequential model on the torch backend.

    Raises:
        NotAGraphError: The model has no graph that could be read.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        keep_freed_memory()
        try:
            self._graph = Graph(model)
        except AttributeError as error:
            raise NotAGraphError(
                f"this version of Keras keeps its graphs elsewhere: {error}"
            ) from (error)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The parts that Keras runs itself, and why."""
        return tuple(self._graph.fallbacks)

    @property
    def num_lowered(self) -> int:
        """How many calls of the graph run natively, those of nested models included."""
        return self._graph.num_lowered

    def __call__(self, x: Any, training: bool) -> Any:
        """Return the model's predictions; variables and seeds change as in Keras' own call."""
        if not self._graph.fallbacks:
            return self._graph(x, training)
        # Layers that Keras runs collect what they add to the loss in the context of this call.
        context = self._model._get_call_context()
        try:
            context.set_value("training", training)
            with self._autocast():
                return self._graph(x, training)
        finally:
            del context
            self._model._maybe_reset_call_context()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the scope in which variables that operations use are cast, as in Keras' call."""
        model = self._model
        if model.compute_dtype == model.variable_dtype:
            return contextlib.nullcontext()
        return backend.AutocastScope(model.compute_dtype)  # type: ignore[no-any-return]
