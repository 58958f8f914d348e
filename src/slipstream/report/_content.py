"""What a report is made of: frozen values, each with a default that leaves its section out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from slipstream.record import Record

Role = Literal["baseline", "tuned baseline", "winner", "run"]
Direction = Literal["taken_out", "put_alone"]


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it; the bounds may be None or infinite.

    Example:
        >>> Interval(3.4, 2.9, 4.0).excludes(1.0), Interval(1.1, 0.9, 1.3).excludes(1.0)
        (True, False)
    """

    estimate: float
    low: float | None = None
    high: float | None = None

    def excludes(self, reference: float) -> bool:
        """Return whether the whole interval lies on one side of the reference."""
        if self.low is None or self.high is None:
            return False
        return self.low > reference or self.high < reference


@dataclass(frozen=True, kw_only=True)
class Side:
    """One contestant: what it is called, the part it plays, and its runs, one for each seed."""

    label: str
    role: Role
    records: tuple[Record, ...] = ()
    energy_watt_hours: float | None = None
    cost: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The winner against one baseline.

    Args:
        against: The label of the baseline's side.
        sentence: What the verdict says of the pair.
        speedup: Baseline's time to target over the winner's; above 1 the winner is faster.
        quality: The winner's held-out metric minus the baseline's, in the metric's own unit.
        quality_metric: Which metric that is; the monitor if empty.
        quality_mode: Whether more or less of it is better; the monitor's if empty.
    """

    against: str
    sentence: str = ""
    speedup: Interval | None = None
    quality: Interval | None = None
    quality_metric: str = ""
    quality_mode: Literal["min", "max", ""] = ""


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One technique, taken out of the winner or put alone onto the baseline.

    In both directions `speedup` and `quality` say what the plan that has the technique gains over
    the plan that has not: above 1, the technique makes training faster.
    """

    technique: str
    direction: Direction
    speedup: Interval | None = None
    quality: Interval | None = None
    quality_metric: str = ""
    quality_mode: Literal["min", "max", ""] = ""
    failure: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RuntimeRow:
    """One candidate of the runtime search. `outcome` is free text, like "dropped in round 2"."""

    label: str
    backend: str = ""
    options: str = ""
    examples_per_second: float | None = None
    compile_seconds: float | None = None
    projected_seconds: float | None = None
    outcome: str = ""
    detail: str = ""
    failed: bool = False
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One learning rate that the tuned baseline was tried at: its best value, time to target."""

    rate: float
    quality: float | None = None
    seconds: float | None = None
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial of the learning study. `seconds` and `quality` place it in the speed picture."""

    number: int
    recipe: str = ""
    parameters: str = ""
    value: float | None = None
    outcome: str = ""
    seconds: float | None = None
    quality: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the tuning: what it took and what came of it."""

    name: str
    seconds: float
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One key of the plan that differs from the baseline's."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A note or a warning: `title` says what, `text` why and how to mend it."""

    title: str
    text: str = ""
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """Everything that a report can show. What is empty is left out.

    Args:
        task: The task's name.
        title: The title of the document; made from the task if empty.
        verdict: Sentences, the headline first; told from the runs if empty.
        outcome: A word, like "faster", "undecided" or "no gain found", shown as a badge.
        monitor: The watched metric; the records' own if empty.
        mode: Whether a smaller or a larger monitor is better.
        target: The value that ends the race.
        sides: Baselines first, the winner last, each with several seeds.
        confidence: What the intervals promise to cover.
        winner_in_baseline_time: A sentence; told from the runs if empty.
        sweep: The rates that plain SGD was tried at for the tuned baseline.
        metric_of_trials: What the trials' values are, like "seconds to target".
        tuning_seconds: What the tuning cost in all; the stages' sum if None.
        payback_trainings: After how many trainings it has paid; infinity for never; None where
            there is no gain that could pay.
        plan: The winner's plan as TOML.
        reproduce: Commands, one each.
        written_at: When the report was written, as it should be read.
        version: The version of Slipstream.
        still: Whether curves are still pictures: a page of some 30 KB instead of 5 MB.
    """

    task: str = ""
    title: str = ""
    verdict: tuple[str, ...] = ()
    outcome: str = ""
    monitor: str = ""
    mode: Literal["min", "max"] = "max"
    target: float | None = None
    sides: tuple[Side, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    confidence: float = 0.95
    winner_in_baseline_time: str = ""
    ablation: tuple[AblationRow, ...] = ()
    runtime: tuple[RuntimeRow, ...] = ()
    sweep: tuple[Rate, ...] = ()
    trials: tuple[Trial, ...] = ()
    metric_of_trials: str = ""
    stages: tuple[Stage, ...] = ()
    tuning_seconds: float | None = None
    payback_trainings: float | None = None
    plan: str = ""
    changes: tuple[Change, ...] = ()
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    reproduce: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    written_at: str = ""
    version: str = ""
    still: bool = False
