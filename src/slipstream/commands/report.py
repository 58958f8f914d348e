"""A folder of records back into its report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipstream import report
from slipstream.ablation import BASELINE, PLAN
from slipstream.commands import _optimize_report as of_study
from slipstream.commands._optimize_values import Ablation, Confirmation, FirstLook, is_gain
from slipstream.commands._writing import environment_of, findings_of, write_report
from slipstream.commands.ablate import reached_by_all, write_ablation
from slipstream.commands.compare import (
    RUNS_FOLDER,
    CompareNotes,
    read_sides,
    write_compare_report,
)
from slipstream.commands.fit import COMMAND_FILE, FitNotes, write_fit_report
from slipstream.commands.folders import PLAN_FILE
from slipstream.errors import RecordError
from slipstream.plan import Plan, read_plan, to_toml
from slipstream.record import RECORD_FILE, Record, read_record
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult
from slipstream.tuning.study import STUDY_FILE, Study

BASELINES = {"as_given": "baseline", "tuned_baseline": "tuned baseline", "a": "baseline"}


def rebuild(folder: Path) -> Path:
    """Write report.html anew from what a folder holds; nothing is trained.

    Args:
        folder: What `fit`, `compare`, `ablate` or `optimize` wrote, or a folder of run folders.
            A study that was interrupted before its proof gets a report of its runs alone.

    Returns:
        The path of the report.

    Raises:
        RecordError: The folder holds no record, or one that cannot be read.
    """
    kept = _kept(folder)
    if isinstance(kept, FitNotes):
        return write_fit_report(folder, read_record(folder), kept)
    if isinstance(kept, CompareNotes):
        sides = read_sides(folder, kept)
        if not any(sides):
            raise _no_records(folder)
        return write_compare_report(folder, sides, kept)
    runs = dict(_runs_by_side(folder))
    if not runs:
        raise _no_records(folder)
    if (folder / STUDY_FILE).exists():
        return _rebuild_study(folder) or _write_plain(folder, runs)
    is_ablation = any(side.startswith(("without_", "only_")) for side in runs)
    if is_ablation and {BASELINE, PLAN} <= runs.keys() and (folder / PLAN_FILE).exists():
        return _rebuild_ablation(folder, runs)
    return _write_plain(folder, runs)


def _rebuild_study(folder: Path) -> Path | None:
    """Return the report of a study that came to its end, else None."""
    study = Study.read(folder)
    looked = study.result("look", FirstLook)
    runtime = study.result("runtime", RuntimeResult)
    baselines = study.result("baselines", Baselines)
    learned = study.result("learn", LearnResult)
    confirmation = study.result("confirm", Confirmation)
    if not (looked and runtime and baselines and learned):
        return None
    if confirmation is None and learned.plan is not None:
        return None
    ablation = study.result("ablate", Ablation)
    warnings = findings_of(looked.warnings)
    found = of_study.Found(
        looked.facts, warnings, runtime, baselines, learned, confirmation, ablation
    )
    gain = confirmation is not None and is_gain(confirmation.verdicts)
    plan = confirmation.plan if confirmation and gain else baselines.as_given
    sentence = of_study.headline(found, gain)
    return of_study.write_study_report(found, sentence, gain, plan, study, looked.facts.reference)


def _rebuild_ablation(folder: Path, runs: dict[str, list[Record]]) -> Path:
    baseline = _plan_of(runs[BASELINE][0])
    target = runs[BASELINE][0].target
    goal = target if target is not None else reached_by_all(runs[BASELINE])
    write_ablation(folder, read_plan(folder / PLAN_FILE), baseline, runs, goal)
    return folder / "report.html"


def _write_plain(folder: Path, runs: dict[str, list[Record]]) -> Path:
    """Write a report that shows the runs of every side, without a verdict."""
    # Baselines first, the winner last.
    order = sorted(runs, key=lambda side: (side == PLAN, side not in BASELINES, side))
    last = runs[order[-1]][0]
    machine, versions = environment_of([last])
    content = report.ReportInput(
        sides=tuple(_side(name, runs[name]) for name in order),
        # A fit of a script followed none.
        plan=to_toml(_plan_of(last)) if last.plan else "",
        machine=machine,
        versions=versions,
    )
    return write_report(folder, content)


def _runs_by_side(folder: Path) -> Iterator[tuple[str, list[Record]]]:
    """Yield the name of each side and its records, by seed."""
    below = [folder / RUNS_FOLDER] if (folder / RUNS_FOLDER).is_dir() else [folder]
    files = [file for place in below for file in place.glob(f"*/{RECORD_FILE}")]
    files += folder.glob(RECORD_FILE)
    ordered = sorted(file.parent for file in files)
    for side, group in groupby(ordered, key=lambda run: re.sub(r"_seed\d+$", "", run.name)):
        yield side, sorted((read_record(run) for run in group), key=lambda record: record.seed)


def _side(name: str, records: list[Record]) -> report.Side:
    role = BASELINES.get(name, "winner" if name == PLAN else "run")
    return report.Side(
        label=name.replace("_", " "),
        role=role,  # type: ignore[arg-type]
        records=tuple(records),
    )


def _plan_of(record: Record) -> Plan:
    return Plan.from_dict(record.plan)


def _kept(folder: Path) -> FitNotes | CompareNotes | None:
    """Return what the command that wrote the folder has kept for its report."""
    file = folder / COMMAND_FILE

    def read() -> FitNotes | CompareNotes:
        values = json.loads(file.read_text(encoding="utf-8"))
        kind = FitNotes if values["command"] == "fit" else CompareNotes
        return kind.model_validate(values)

    return _readable(file, read) if file.exists() else None


def _readable(file: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise RecordError(
            f"{file} to be readable",
            f"{type(error).__name__}: {error}".splitlines()[0],
            "Delete that file to get a report of the records alone.",
        ) from None


def _no_records(folder: Path) -> RecordError:
    return RecordError(
        f"a folder with records at {folder}",
        "none" if folder.is_dir() else "no such folder",
        "Name a folder that fit, compare, ablate or optimize wrote.",
    )
