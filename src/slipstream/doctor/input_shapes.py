"""Refuses features of another shape than the model's inputs."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import fits, in_words, inputs_of
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
            "Reshape the array, or change the shape of the model's input.",
        )
