"""Which techniques of a plan do the work: each taken out, and put alone onto the baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from slipstream import report
from slipstream.ablation import BASELINE, PLAN, Variant, rows, variants
from slipstream.commands._notes import (
    COMMAND_FILE,
    RUNS_FOLDER,
    AblationNotes,
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
from slipstream.commands.folders import PLAN_FILE, claimed
from slipstream.commands.look import as_given, launch_for, on_installed
from slipstream.commands.look_at_plans import look_at_plans, past_checks
from slipstream.errors import InputError, TrainingError
from slipstream.measure import Launch
from slipstream.measure.changed import refuse_changed
from slipstream.plan import Plan, to_toml, write_plan
from slipstream.progress import Listener, StageDone, StageStarted, silent
from slipstream.record import Record
from slipstream.task import TaskFacts
from slipstream.tuning.confirm import confirm, judge_sides
from slipstream.verdict import AblationRow

PLAN_NAME, BASELINE_NAME = "the plan", "the task as given"


def ablate(
    reference: str,
    plan: Plan,
    folder: Path,
    *,
    num_seeds: int = 3,
    resume: bool = False,
    listener: Listener = silent,
) -> tuple[AblationRow, ...]:
    """Measure what each technique of a plan contributes, in both directions.

    Every technique that the plan has and the task as given has not is taken out of the plan, and
    put alone onto the task as given; all variants run interleaved, each run in a fresh process.
    A variant that cannot be trained is a row that says why.

    Args:
        reference: The task.
        plan: The plan.
        folder: New or empty; with `resume` one that holds runs of this ablation.
        num_seeds: Seeds of each variant, at least 3; 5 or more make the intervals useful.
        resume: Whether runs that are there already are used.
        listener: Told what happens.

    Returns:
        The rows, corrected for their number. In both directions a ratio above 1 means that the
        technique helps.

    Raises:
        InputError: Task, data or plan cannot be used, the plan is the task's own, or finished runs
            in the folder are of others.
    """
    require_seeds(num_seeds, "each variant")
    launch = launch_for(reference, folder)
    plan = on_installed(plan)
    notes = AblationNotes(reference=launch.reference, plan=plan.to_dict(), num_seeds=num_seeds)
    with claimed(folder, resume=resume, marker=COMMAND_FILE, locked=True):
        refuse_others(folder, notes)
        looked = look_at_plans(launch, {PLAN_NAME: plan}, listener, partial(_others, plan))
        baseline = as_given(looked.facts)
        found = {"as_given": baseline.to_dict(), "warnings": values_of(looked.warnings)}
        notes = notes.model_copy(update=found)
        if BASELINE_NAME in looked.refused:
            raise looked.refused[BASELINE_NAME]
        chosen = [
            replace(variant, plan=None, failure=str(looked.refused[_called(variant)]))
            if _called(variant) in looked.refused
            else variant
            for variant in variants(plan, baseline)
        ]
        refuse_changed(folder / RUNS_FOLDER, looked.facts, _sides(notes, chosen))
        write_notes(folder, notes)
        write_plan(plan, folder / PLAN_FILE)
        with past_checks():
            return _take_apart(launch, looked.facts, chosen, notes, folder, listener)


def _others(plan: Plan, facts: TaskFacts) -> dict[str, Plan]:
    """Return what an ablation trains beside the plan, by what messages call it."""
    baseline = as_given(facts)
    chosen = variants(plan, baseline)
    if not chosen:
        raise InputError(
            "a plan that differs from the task as given in at least one technique",
            "one that does not",
            "Name another plan with --plan; 'slipstream optimize' makes one.",
            code="SLP-159",
        )
    runnable = {_called(variant): variant.plan for variant in chosen if variant.plan is not None}
    return {BASELINE_NAME: baseline} | runnable


def _called(variant: Variant) -> str:
    if variant.direction == "taken_out":
        return f"{PLAN_NAME} without {variant.technique}"
    return f"{BASELINE_NAME} with {variant.technique}"


def _sides(notes: AblationNotes, chosen: Sequence[Variant]) -> dict[str, Plan]:
    plan, baseline = Plan.from_dict(notes.plan), Plan.from_dict(notes.as_given)
    return {BASELINE: baseline, PLAN: plan} | {
        variant.side: variant.plan for variant in chosen if variant.plan is not None
    }


def _take_apart(
    launch: Launch,
    facts: TaskFacts,
    chosen: Sequence[Variant],
    notes: AblationNotes,
    folder: Path,
    listener: Listener,
) -> tuple[AblationRow, ...]:
    start = time.monotonic()
    sides = _sides(notes, chosen)
    what = f"Running {len(sides)} variants on {notes.num_seeds} seeds each"
    listener(StageStarted("ablate", what))
    runs = folder / RUNS_FOLDER
    records = confirm(launch, facts, sides, notes.num_seeds, runs, listener, stage="ablate")
    target = race_target(facts, records[BASELINE])
    pair = {side: records[side] for side in (BASELINE, PLAN)}
    names = {BASELINE: "as given", PLAN: "plan"}
    found = {
        "target": target,
        "verdict": judge_sides(pair, target)[BASELINE],
        "rows": rows(chosen, records, target),
        "crashed": crashed_runs(
            folder, records, names | {v.side: v.side.replace("_", " ", 1) for v in chosen}
        ),
    }
    notes = notes.model_copy(update=found)
    write_notes(folder, notes)
    write_ablate_report(folder, records, notes)
    text = f"{len(notes.rows)} rows to {facts.monitor} {target:.4g}"
    listener(StageDone("ablate", text, time.monotonic() - start))
    return notes.rows


def write_ablate_report(
    folder: Path, records: Mapping[str, Sequence[Record]], notes: AblationNotes
) -> Path:
    """Write the report of an ablation that came to its end; returns its path.

    Args:
        folder: Where report.html goes.
        records: The runs of the plan and of the baseline, by side.
        notes: What was found.
    """
    assert notes.verdict is not None and notes.target is not None
    plan, baseline = Plan.from_dict(notes.plan), Plan.from_dict(notes.as_given)
    of_plan, of_baseline = records.get(PLAN, ()), records.get(BASELINE, ())
    first = (*of_plan, *of_baseline)[0]
    machine, versions = environment_of([first])
    reproduce = command_line(
        *("ablate", notes.reference, "--plan", folder / PLAN_FILE, "--seeds", notes.num_seeds)
    )
    content = report.ReportInput(
        task=first.task,
        verdict=(f"The plan against the task as given: {notes.verdict.sentence()}.",),
        outcome=notes.verdict.outcome.replace("_", " "),
        monitor=first.monitor,
        mode=first.mode,
        target=notes.target,
        sides=(
            report.Side(label="as given", role="baseline", records=tuple(of_baseline)),
            report.Side(label="plan", role="winner", records=tuple(of_plan)),
        ),
        comparisons=(report.comparison_of("as given", notes.verdict),),
        ablation=tuple(report.ablation_row_of(row) for row in notes.rows),
        plan=to_toml(plan),
        changes=labelled(plan, baseline),
        machine=machine,
        versions=versions,
        reproduce=(reproduce,),
        notices=crash_notice(notes.crashed),
    )
    return write_report(folder, content, findings_of(notes.warnings))


def race_target(facts: TaskFacts, baseline: list[Record]) -> float:
    """Return the task's target, or else what every run of the baseline reached.

    The worst of its best values: a target that the baseline meets in each of its runs.

    Raises:
        TrainingError: The baseline reached nothing in one of its runs.
    """
    if facts.target is not None:
        return facts.target
    values = [record.best_value for record in baseline if record.best_value is not None]
    if len(values) < len(baseline) or not values:
        raise TrainingError(
            "a task with a target, or a baseline that trains",
            "neither",
            "Set target=... in the task.",
            code="SLP-505",
        )
    return max(values) if baseline[0].mode == "min" else min(values)
