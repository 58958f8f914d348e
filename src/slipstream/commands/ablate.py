"""Which techniques of a plan do the work: each taken out, and put alone onto the baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slipstream import report
from slipstream.ablation import BASELINE, PLAN, rows, variants
from slipstream.commands._writing import environment_of, labelled, write_report
from slipstream.commands.folders import PLAN_FILE
from slipstream.commands.look import as_given, launch_for, look
from slipstream.doctor import Finding
from slipstream.errors import InputError
from slipstream.plan import Plan, to_toml, write_plan
from slipstream.progress import Listener, StageDone, StageStarted, silent
from slipstream.record import Record
from slipstream.task import TaskFacts
from slipstream.tuning.confirm import confirm, judge_sides
from slipstream.verdict import AblationRow


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

    Args:
        reference: The task.
        plan: The plan.
        folder: Where runs/, plan.toml and report.html are written.
        num_seeds: Seeds of each variant, at least 3; 5 or more make the intervals useful.
        resume: Whether runs that are there already are used.
        listener: Told what happens.

    Returns:
        The rows, corrected for their number. In both directions a ratio above 1 means that the
        technique helps.

    Raises:
        InputError: Task, data or plan cannot be used, or the plan is the task's own.
    """
    runs = folder / "runs"
    if runs.exists() and not resume:
        raise InputError(
            f"a folder without runs, where {folder} is",
            "one that holds runs already",
            "Add --resume to go on with them, or name another folder with --out.",
        )
    start = time.monotonic()
    launch = launch_for(reference, folder)
    facts, findings = look(launch, plan=plan, listener=listener)
    baseline = as_given(facts)
    chosen = variants(plan, baseline)
    if not chosen:
        raise InputError(
            "a plan that differs from the task as given in at least one technique",
            "one that does not",
            "Name another plan with --plan; 'slipstream optimize' makes one.",
        )
    sides = {BASELINE: baseline, PLAN: plan} | {
        variant.side: variant.plan for variant in chosen if variant.plan is not None
    }
    what = f"Running {len(sides)} variants on {num_seeds} seeds each"
    listener(StageStarted("ablate", what))
    records = confirm(launch, facts, sides, num_seeds, runs, listener, stage="ablate")
    target = race_target(facts, records[BASELINE])
    write_plan(plan, folder / PLAN_FILE)
    table = write_ablation(folder, plan, baseline, records, target, findings)
    text = f"{len(table)} rows to {facts.monitor} {target:.4g}"
    listener(StageDone("ablate", text, time.monotonic() - start))
    return table


def write_ablation(
    folder: Path,
    plan: Plan,
    baseline: Plan,
    records: Mapping[str, Sequence[Record]],
    target: float,
    findings: Sequence[Finding] = (),
) -> tuple[AblationRow, ...]:
    """Judge the runs of an ablation and write its report; returns the rows.

    Args:
        folder: Where report.html goes.
        plan: The plan that was taken apart.
        baseline: The task as given.
        records: The runs of every side.
        target: The value of the monitor that the sides raced to.
        findings: The checks' warnings.
    """
    chosen = [
        replace(variant, plan=None, failure="none of its runs left a record")
        if variant.plan is not None and not records.get(variant.side)
        else variant
        for variant in variants(plan, baseline)
    ]
    table = rows(chosen, records, target)
    first = records[PLAN][0]
    pair = {side: list(records[side]) for side in (BASELINE, PLAN)}
    verdict = judge_sides(pair, target)[BASELINE]
    machine, versions = environment_of(records[PLAN])
    content = report.ReportInput(
        task=first.task,
        verdict=(f"The plan against the task as given: {verdict.sentence()}.",),
        outcome=verdict.outcome.replace("_", " "),
        monitor=first.monitor,
        mode=first.mode,
        target=target,
        sides=(
            report.Side(label="as given", role="baseline", records=tuple(records[BASELINE])),
            report.Side(label="plan", role="winner", records=tuple(records[PLAN])),
        ),
        comparisons=(report.comparison_of("as given", verdict),),
        ablation=tuple(report.ablation_row_of(row) for row in table),
        plan=to_toml(plan),
        changes=labelled(plan, baseline),
        machine=machine,
        versions=versions,
        reproduce=(
            f"slipstream ablate {first.reference} --plan {folder / PLAN_FILE} "
            f"--seeds {len(records[PLAN])}",
        ),
    )
    write_report(folder, content, findings)
    return table


def race_target(facts: TaskFacts, baseline: list[Record]) -> float:
    """Return the task's target, or else what every run of the baseline reached.

    The worst of its best values: a target that the baseline meets in each of its runs.

    Raises:
        InputError: The baseline reached nothing in one of its runs.
    """
    if facts.target is not None:
        return facts.target
    return reached_by_all(baseline)


def reached_by_all(baseline: Sequence[Record]) -> float:
    """Return the worst of the best values of runs: each of them meets it; see `race_target`."""
    values = [record.best_value for record in baseline if record.best_value is not None]
    if len(values) < len(baseline) or not values:
        raise InputError(
            "a task with a target, or a baseline that trains",
            "neither",
            "Set target=... in the task.",
        )
    return max(values) if baseline[0].mode == "min" else min(values)
