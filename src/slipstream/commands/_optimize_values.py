"""What `optimize` takes and returns, and what its last stages keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipstream.commands._seeds import require_seeds
from slipstream.errors import InputError
from slipstream.plan import Plan
from slipstream.record import JsonModel
from slipstream.task import TaskFacts
from slipstream.verdict import AblationRow, Verdict


@dataclass(frozen=True)
class OptimizeSettings:
    """How `optimize` is to go about it.

    Args:
        budget_seconds: Wall-clock seconds for everything.
        num_seeds: Seeds of each side in the confirmation, at least 3.
        backends: Backends to try; all that are installed if empty.
        allow_precision: Whether formats below float32 may be used.
        resume: Whether to go on with the study that the folder holds.
        remember: Whether runtimes that were measured on this machine before may be used again.
        techniques: Names of techniques that are tried on top of what the search finds.
    """

    budget_seconds: float = 600.0
    num_seeds: int = 3
    backends: tuple[str, ...] = ()
    allow_precision: bool = True
    resume: bool = False
    remember: bool = True
    techniques: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no study can be made with."""
        require_seeds(self.num_seeds, "each side")
        if not 0.0 < self.budget_seconds < math.inf:
            raise InputError(
                "a budget above 0 seconds",
                f"{self.budget_seconds:g}",
                "Give a wall-clock time like 5m.",
                code="SLP-015",
            )


class FirstLook(JsonModel):
    """What the first look found: the task's facts, and the checks' warnings."""

    facts: TaskFacts
    warnings: tuple[dict[str, str], ...] = ()


class RunLimit(JsonModel):
    """The clock seconds that each run of the race is given."""

    seconds: float


class Confirmation(JsonModel):
    """What the confirmation found: a verdict against each baseline.

    `cut_off` says in words which sides the budget ended before their plan did; `skipped` why there
    is no verdict, where the budget was too short for any.
    """

    plan: Plan
    target: float
    verdicts: dict[str, Verdict]
    cut_off: tuple[str, ...] = ()
    skipped: str = ""


class Ablation(JsonModel):
    """The rows of the ablation, and the techniques that there was no time for."""

    rows: tuple[AblationRow, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimizeResult:
    """What came of it.

    Args:
        outcome: "gain": faster than both baselines, at no loss of quality; else "no_gain".
        headline: The result in one sentence.
        plan: The plan to train with: the winner, or the task's own where nothing was gained.
        target: The value of the monitor that the sides raced to.
        verdicts: The winner against each baseline, by the baseline's name.
        tuning_seconds: What all of it cost.
        payback: After how many trainings that is paid for.
        folder: Where everything lies.
        cut_off: Which sides of the race the budget ended before their plan did, in words.
    """

    outcome: Literal["gain", "no_gain"]
    headline: str
    plan: Plan
    target: float | None
    verdicts: dict[str, Verdict]
    tuning_seconds: float
    payback: float
    folder: Path
    cut_off: tuple[str, ...] = ()

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / "report.html"

    @property
    def plan_file(self) -> Path:
        """The plan as TOML."""
        return self.folder / "plan.toml"

    @property
    def script_file(self) -> Path:
        """The plain Keras script that does the same."""
        return self.folder / "train.py"


def is_gain(verdicts: dict[str, Verdict]) -> bool:
    """Whether a plan is faster than every baseline, at no loss of held-out quality.

    A gain over an untuned baseline alone is not a gain.
    """
    return bool(verdicts) and all(
        verdict.outcome == "faster"
        and (verdict.quality is None or verdict.quality.outcome != "worse")
        for verdict in verdicts.values()
    )
