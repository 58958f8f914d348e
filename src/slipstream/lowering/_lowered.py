"""A Keras model that runs through native kernels wherever a rule knows how."""

from __future__ import annotations

from typing import Any, final

from slipstream.lowering._graph import Graph
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
        self._graph = Graph(model)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The parts that Keras runs itself, and why."""
        return tuple(self._graph.fallbacks)

    @property
    def num_lowered(self) -> int:
        """How many calls of the outermost graph run natively."""
        return self._graph.num_lowered

    def __call__(self, x: Any, training: bool) -> Any:
        """Return the model's predictions; variables and seeds change as in Keras' own call."""
        if not self._graph.fallbacks:
            return self._graph(x, training)
        # Layers that Keras runs collect what they add to the loss in the context of this call.
        context = self._model._get_call_context()
        try:
            context.set_value("training", training)
            return self._graph(x, training)
        finally:
            del context
            self._model._maybe_reset_call_context()
