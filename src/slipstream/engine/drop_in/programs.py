"""The program of a fit: opened for the model as it is, and opened anew when that has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from slipstream.backends import Program
from slipstream.engine.drop_in.schedule import with_rate
from slipstream.engine.open_program import open_model

_KEPT = "_slipstream_program"


@dataclass(frozen=True)
class OpenedForFit:
    """A program and what it was made from.

    Args:
        program: The backend's program.
        made_from: The objects that a compiled step holds on to.
        left_to_keras: The parts of the model that Keras runs itself, and why.
        notes: What was found out while it was opened or has trained since.
    """

    program: Program
    made_from: tuple[Any, ...]
    left_to_keras: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What a report says of it."""
        return (*self.left_to_keras, *self.notes)


def open_for_fit(model: Any) -> OpenedForFit:
    """Return the program of a compiled, built model on the backend that Keras runs on.

    The model keeps it, as it keeps Keras' train_function: a second fit compiles nothing anew.
    """
    kept: OpenedForFit | None = vars(model).get(_KEPT)
    if kept is not None and not is_stale(kept, model):
        return kept
    notes: list[str] = []
    opened = open_model(model, jit=bool(model.jit_compile), lowering=True, note=notes.append)
    kept = OpenedForFit(opened.program, _held_by_steps(model), opened.fallbacks, notes)
    # Past Keras' own __setattr__, which would look for variables in it.
    vars(model)[_KEPT] = kept
    return kept


def forget(model: Any) -> None:
    """Have the next fit open a program of its own: this one ended in the middle."""
    vars(model).pop(_KEPT, None)


def is_stale(opened: OpenedForFit, model: Any) -> bool:
    """Whether something stands in the place of what compiled steps hold on to."""
    now = _held_by_steps(model)
    return len(now) != len(opened.made_from) or any(
        one is not other for one, other in zip(now, opened.made_from, strict=True)
    )


def _held_by_steps(model: Any) -> tuple[Any, ...]:
    return (
        model.optimizer,
        with_rate(model.optimizer)._learning_rate,
        # Each compilation of the model makes a new one.
        model._loss_tracker,
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    )
