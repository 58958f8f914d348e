"""Two plans on one task, side by side, and the verdict on them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipstream import report
from slipstream.commands._notes import (
    COMMAND_FILE,
    RUNS_FOLDER,
    CompareNotes,
    crashed_runs,
    refuse_others,
    write_notes,
)
from slipstream.commands._seeds import require_seeds
from slipstream.commands._writing import (
    command_line,
    crash_notice,
    environment_of,
    findings_of,
    labelled,
    values_of,
    write_report,
)
from slipstream.commands.folders import REPORT_FILE, claimed
from slipstream.commands.look import launch_for, on_installed
from slipstream.commands.look_at_plans import look_at_plans, past_checks
from slipstream.errors import TrainingError
from slipstream.measure import Launch
from slipstream.measure.changed import refuse_changed
from slipstream.plan import Plan, to_toml, write_plan
from slipstream.progress import Listener, StageDone, StageStarted, silent
from slipstream.record import Record, read_record
from slipstream.task import TaskFacts
from slipstream.tuning.confirm import confirm
from slipstream.verdict import Verdict
from slipstream.verdict import compare as judge

SIDES = ("a", "b")
FEWEST_SEEDS = 2


@dataclass(frozen=True)
class CompareResult:
    """What came of a comparison.

    Args:
        verdict: B, the candidate, against A, the baseline.
        labels: What the two are called.
        target: The value of the monitor that both raced to.
        target_from: Where it comes from, in words.
        records: The runs of A and those of B.
        folder: Where everything lies.
    """

    verdict: Verdict
    labels: tuple[str, str]
    target: float
    target_from: str
    records: tuple[tuple[Record, ...], tuple[Record, ...]]
    folder: Path

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / REPORT_FILE

    @property
    def sentence(self) -> str:
        """The verdict as one sentence."""
        return f"{self.labels[1]} against {self.labels[0]}: {self.verdict.sentence()}."


def compare(
    reference: str,
    plan_a: Plan,
    plan_b: Plan,
    folder: Path,
    *,
    num_seeds: int = 5,
    target: float | None = None,
    labels: tuple[str, str] = ("A", "B"),
    resume: bool = False,
    listener: Listener = silent,
) -> CompareResult:
    """Train two plans on the same seeds, interleaved, and judge B against A.

    Without a target of its own or of the task, the race goes to what A reaches in every run: the
    worst of the best values of its runs. B is not asked, so that the choice does not favour it.
    The test split is read once in each run.

    Args:
        reference: The task, as a fresh process can rebuild it.
        plan_a: The baseline.
        plan_b: The candidate.
        folder: New or empty; with `resume` one that holds runs of this comparison.
        num_seeds: Seeds 0, 1, ... of each plan; with fewer than 3 nothing is decided.
        target: The value of the monitor that ends the race.
        labels: What the two are called.
        resume: Whether finished runs in the folder are kept.
        listener: Told what happens.

    Raises:
        InputError: Task, data or a plan cannot be used, or finished runs in the folder are of
            others; nothing was trained.
        TrainingError: No run of A came to a finite value, so that there is no target.
    """
    require_seeds(num_seeds, "each plan", fewest=FEWEST_SEEDS)
    launch = launch_for(reference, folder)
    sides = dict(zip(SIDES, (on_installed(plan_a), on_installed(plan_b)), strict=True))
    notes = CompareNotes(
        reference=launch.reference,
        labels=labels,
        num_seeds=num_seeds,
        plans=tuple(plan.to_dict() for plan in sides.values()),
    )
    with claimed(folder, resume=resume, marker=COMMAND_FILE, locked=True):
        refuse_others(folder, notes)
        names = labels if labels[0] != labels[1] else tuple(side.upper() for side in SIDES)
        called = {f"plan {name}": plan for name, plan in zip(names, sides.values(), strict=True)}
        looked = look_at_plans(launch, called, listener, target=target)
        refuse_changed(folder / RUNS_FOLDER, looked.facts, sides)
        notes = notes.model_copy(update={"warnings": values_of(looked.warnings)})
        write_notes(folder, notes)
        for side, plan in sides.items():
            write_plan(plan, folder / f"plan_{side}.toml")
        with past_checks():
            return _race(launch, looked.facts, sides, target, notes, folder, listener)


def _race(
    launch: Launch,
    facts: TaskFacts,
    sides: dict[str, Plan],
    target: float | None,
    notes: CompareNotes,
    folder: Path,
    listener: Listener,
) -> CompareResult:
    start = time.monotonic()
    a, b = notes.labels
    what = f"Training {a} and {b}, {notes.num_seeds} seeds each, interleaved"
    listener(StageStarted("compare", what))
    runs = folder / RUNS_FOLDER
    done = confirm(launch, facts, sides, notes.num_seeds, runs, listener, stage="compare")
    goal, origin = _target(target, facts.target, done["a"], a)
    found = {
        "target": goal,
        "target_from": origin,
        "verdict": judge(done["b"], done["a"], target=goal),
        "crashed": crashed_runs(folder, done, dict(zip(SIDES, notes.labels, strict=True))),
    }
    notes = notes.model_copy(update=found)
    write_notes(folder, notes)
    write_compare_report(folder, (done["a"], done["b"]), notes)
    result = result_of(folder, (done["a"], done["b"]), notes)
    listener(StageDone("compare", result.sentence, time.monotonic() - start))
    return result


def result_of(
    folder: Path, records: tuple[Sequence[Record], Sequence[Record]], notes: CompareNotes
) -> CompareResult:
    """Return a comparison that came to its end as its caller gets it."""
    assert notes.verdict is not None and notes.target is not None
    return CompareResult(
        verdict=notes.verdict,
        labels=notes.labels,
        target=notes.target,
        target_from=notes.target_from,
        records=(tuple(records[0]), tuple(records[1])),
        folder=folder,
    )


def read_sides(folder: Path, notes: CompareNotes) -> tuple[list[Record], list[Record]]:
    """Return the records of both sides that a comparison's folder holds."""
    found: tuple[list[Record], list[Record]] = ([], [])
    for side, records in zip(SIDES, found, strict=True):
        for seed in range(notes.num_seeds):
            run = folder / RUNS_FOLDER / f"{side}_seed{seed}"
            # A run whose process ended has left no record.
            if (run / "record.json").exists():
                records.append(read_record(run))
    return found


def write_compare_report(
    folder: Path, records: tuple[Sequence[Record], Sequence[Record]], notes: CompareNotes
) -> Path:
    """Write the report of a comparison that came to its end; returns its path."""
    assert notes.verdict is not None and notes.target is not None
    (a, b), (label_a, label_b) = records, notes.labels
    first = (*b, *a)[0]
    plan = Plan.from_dict(first.plan)
    baseline = Plan.from_dict(a[0].plan) if a else plan
    machine, versions = environment_of([first])
    content = report.ReportInput(
        task=first.task,
        verdict=(f"{label_b} against {label_a}: {notes.verdict.sentence()}.",),
        outcome=notes.verdict.outcome.replace("_", " "),
        monitor=first.monitor,
        mode=first.mode,
        target=notes.target,
        sides=(
            report.Side(label=label_a, role="baseline", records=tuple(a)),
            report.Side(label=label_b, role="winner", records=tuple(b)),
        ),
        comparisons=(report.comparison_of(label_a, notes.verdict),),
        confidence=notes.verdict.rules.confidence,
        plan=to_toml(plan),
        changes=labelled(plan, baseline),
        machine=machine,
        versions=versions,
        reproduce=(
            command_line(
                "compare",
                notes.reference,
                *(folder / f"plan_{side}.toml" for side in SIDES),
                *("--seeds", notes.num_seeds, "--target", f"{notes.target:g}"),
            ),
        ),
        notices=(
            report.Notice(title=f"The target of {notes.target:g} is {notes.target_from}."),
            *crash_notice(notes.crashed),
        ),
    )
    return write_report(folder, content, findings_of(notes.warnings))


def _target(
    given: float | None, of_task: float | None, baseline: Sequence[Record], label: str
) -> tuple[float, str]:
    if given is not None:
        return given, "the one that was asked for"
    if of_task is not None:
        return of_task, "the task's own"
    best = [record.best_value for record in baseline]
    finite = [value for value in best if value is not None and math.isfinite(value)]
    if not finite:
        raise TrainingError(
            f"a run of {label} that gives a target to race to",
            "none with a finite value",
            "Look at the records and logs in the folder, or name a target with --target.",
            code="SLP-506",
        )
    worst = max(finite) if baseline[0].mode == "min" else min(finite)
    return worst, f"what {label} reaches in every run"
