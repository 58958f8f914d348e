"""What there is of a run that has not come to its end: it trains still, or was cut."""

from __future__ import annotations

import math
from pathlib import Path

from slipstream.commands._notes import FitNotes, readable
from slipstream.commands._writing import command_line
from slipstream.commands.folders import PLAN_FILE, is_anothers
from slipstream.errors import RecordError
from slipstream.measure import Failed, Job
from slipstream.measure.interleave import failed_record
from slipstream.plan import read_plan
from slipstream.record import METRICS_FILE, Record, read_points
from slipstream.signals import found_over
from slipstream.task import TaskFacts


def record_so_far(job: Job, facts: TaskFacts, failed: Failed | None = None) -> Record:
    """Return a record from the points that a run had written: "interrupted", or how it failed."""
    unfinished = failed_record(job, facts, failed or Failed("error", "interrupted"))
    points = list(read_points(job.folder))
    values = [point.values.get(facts.monitor, math.nan) for point in points]
    finite = [value for value in values if math.isfinite(value)]
    best = (min if facts.mode == "min" else max)(finite) if finite else None
    clock = points[-1].seconds if points else 0.0
    known = {
        **({} if failed else {"outcome": "interrupted", "failure": None}),
        "points": points,
        "events": found_over(points, facts.monitor, facts.mode),
        "best_value": best,
        "best_epoch": points[values.index(best)].epoch if best is not None else None,
        "updates": points[-1].step if points else 0,
        "epochs": points[-1].epoch if points else 0.0,
        "final_values": points[-1].values if points else {},
        "timings": unfinished.timings.model_copy(update={"clock_seconds": clock}),
    }
    return unfinished.model_copy(update=known)


def fit_so_far(folder: Path, notes: FitNotes) -> Record:
    """Return the record so far of what `fit` began in a folder.

    Raises:
        RecordError: It has not come to its first evaluation.
    """
    plan_file = folder / PLAN_FILE
    if notes.facts is not None and plan_file.exists():
        job, facts = Job("run", read_plan(plan_file), folder), notes.facts
        record: Record = readable(folder / METRICS_FILE, lambda: record_so_far(job, facts))
        if record.points:
            return record
    raise RecordError(
        f"a run in {folder} with an evaluation to show",
        "one that trains now, and has none yet"
        if is_anothers(folder)
        else "one that was cut before its first evaluation",
        f"Wait for it; where it was cut, {going_on(folder, notes)} goes on with it.",
        code="SLP-646",
    )


def in_words(folder: Path, notes: FitNotes, record: Record) -> str:
    """Return what became of a run that has no record of its own, and how to go on with it."""
    epochs = f"{record.epochs:.3g} of {record.plan['duration']['epochs']} epochs"
    if is_anothers(folder):
        return f"This run trains now: this is what there is of it, {epochs}."
    return (
        f"This run was cut at {epochs}, and this is what there is of it; "
        f"{going_on(folder, notes)} goes on with it from its last checkpoint."
    )


def going_on(folder: Path, notes: FitNotes) -> str:
    """Return the command that goes on with a run, in quotes."""
    return f"'{command_line('fit', notes.reference, '--out', folder, '--resume')}'"
