"""What a long command tells while it runs: plain values, for a terminal, a log or a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StageName = Literal[
    "look",
    "runtime",
    "baselines",
    "learn",
    "generalise",
    "confirm",
    "ablate",
    "train",
    "compare",
    "landscape",
    "batch",
]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins. `seconds_planned` is its share of the budget, or None where it has none."""

    stage: StageName
    what: str
    seconds_planned: float | None = None


@dataclass(frozen=True)
class Step:
    """Something happened within a stage.

    `fraction` is how much of the stage is done, from 0 to 1, or None where that is not known.
    A `passing` step is only worth showing until the next one comes.
    """

    stage: StageName
    text: str
    fraction: float | None = None
    passing: bool = False


@dataclass(frozen=True)
class StageDone:
    """A stage is over; `text` is its result in a sentence. `resumed`: it was done before."""

    stage: StageName
    text: str
    seconds: float
    resumed: bool = False


@dataclass(frozen=True)
class Notice:
    """Something the user should know: a warning of the checks, a part that was left out.

    `code` is the identifier of its entry in the catalogue of messages, which warnings have.
    """

    text: str
    warning: bool = False
    code: str = ""


Happening = StageStarted | Step | StageDone | Notice
Listener = Callable[[Happening], None]


def silent(happening: Happening) -> None:
    """Listen to nothing."""
    del happening
