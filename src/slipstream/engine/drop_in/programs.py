"""The program of a fit: opened for the model as it is, and opened anew when that has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipstream.backends import Program
from slipstream.engine.drop_in.schedule import with_rate
from slipstream.engine.open_program import open_model


@dataclass(frozen=True)
class OpenedForFit:
    """A program and what it was made from.

    Args:
        program: The backend's program.
        made_from: The objects that a compiled step holds on to.
        fallbacks: The parts of the model that Keras runs itself, and why.
    """

    program: Program
    made_from: tuple[Any, ...]
    fallbacks: tuple[str, ...] = ()


def open_for_fit(model: Any) -> OpenedForFit:
    """Open the program of a compiled, built model on the backend that Keras runs on."""
    opened = open_model(model, jit=bool(model.jit_compile), lowering=True)
    return OpenedForFit(opened.program, _held_by_steps(model), opened.fallbacks)


def is_stale(opened: OpenedForFit, model: Any) -> bool:
    """Whether a callback has put something in the place of what compiled steps hold on to."""
    now = _held_by_steps(model)
    return len(now) != len(opened.made_from) or any(
        one is not other for one, other in zip(now, opened.made_from, strict=True)
    )


def _held_by_steps(model: Any) -> tuple[Any, ...]:
    optimizer = with_rate(model.optimizer)
    return (
        model.optimizer,
        optimizer._learning_rate,
        model._compile_loss,
        model._compile_metrics,
        *model.trainable_variables,
    )
