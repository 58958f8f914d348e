"""Refuses features of another shape than the model's inputs."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from slipstream.doctor._arrays import Shape, fits, in_words, inputs_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import differ_by_trailing_one


def check(case: Case) -> Iterator[Finding]:
    """Refuse inputs whose shape the model cannot take.

    Keras raises in the middle of building the first step. A missing or extra last axis of size 1
    is left alone: Keras adds and removes it itself.
    """
    for part, facts in inputs_of(case):
        if fits(part.shape, facts.shape) or differ_by_trailing_one(part.shape, facts.shape):
            continue
        name = f" '{part.name}'" if part.name else ""
        yield Finding(
            "input_shapes",
            "error",
            f"inputs of shape {in_words(facts.shape)} for the model's input{name}",
            f"{in_words(part.shape)} in {part.place}",
            _mend(part.shape, facts.shape),
        )


def _mend(came: Shape, wanted: Shape) -> str:
    """Say how an array gets the model's shape: an axis in another place is no matter of reshape."""
    if len(came) == len(wanted) > 1:
        if fits((*came[1:], came[0]), wanted):
            return _moved("numpy.moveaxis(x, 1, -1)")
        if fits((came[-1], *came[:-1]), wanted):
            return _moved("numpy.moveaxis(x, -1, 1)")
    if None not in wanted and prod(came) == prod(wanted):  # type: ignore[arg-type]
        sizes = ", ".join(str(size) for size in wanted)
        return f"Reshape the array, x.reshape(-1, {sizes}), or change the model's input."
    return "Change the shape of the model's input, or load the features that it is made for."


def _moved(call: str) -> str:
    return f"Move the axis of channels, x = {call}: a reshape would mix up the values."
