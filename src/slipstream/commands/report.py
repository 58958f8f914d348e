"""A folder of records back into its report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from slipstream import report
from slipstream.ablation import PLAN
from slipstream.commands import _optimize_report as of_study
from slipstream.commands._notes import (
    RUNS_FOLDER,
    AblationNotes,
    CompareNotes,
    FitNotes,
    Notes,
    read_notes,
)
from slipstream.commands._optimize_values import Ablation, Confirmation, FirstLook, is_gain
from slipstream.commands._writing import environment_of, findings_of, write_report
from slipstream.commands.ablate import write_ablate_report
from slipstream.commands.compare import read_sides, write_compare_report
from slipstream.commands.fit import write_fit_report
from slipstream.commands.so_far import fit_so_far, in_words
from slipstream.errors import RecordError
from slipstream.plan import Plan, to_toml
from slipstream.progress import Listener, Notice, silent
from slipstream.record import RECORD_FILE, Record, read_record
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult
from slipstream.tuning.study import STUDY_FILE, Study

BASELINES = {"as_given": "baseline", "tuned_baseline": "tuned baseline", "a": "baseline"}


def rebuild(folder: Path, listener: Listener = silent) -> Path:
    """Write report.html anew from what a folder holds; nothing is trained.

    Args:
        folder: What `fit`, `compare`, `ablate` or `optimize` wrote, or a folder of run folders.
            A study that was interrupted before its proof gets a report of its runs alone, and a
            run that trains now, or was cut, one of what there is of it.
        listener: Told that what the folder holds is not finished.

    Returns:
        The path of the report.

    Raises:
        RecordError: The folder holds no record, one that cannot be read, or those of several tasks.
    """
    kept = read_notes(folder)
    if isinstance(kept, FitNotes):
        if (folder / RECORD_FILE).exists():
            return write_fit_report(folder, read_record(folder), kept)
        record = fit_so_far(folder, kept)
        said = in_words(folder, kept, record)
        listener(Notice(said, warning=True, code="SLP-646"))
        return write_fit_report(folder, record, kept, said)
    if isinstance(kept, CompareNotes) and kept.verdict is not None:
        sides = read_sides(folder, kept)
        if not any(sides):
            raise _no_records(folder)
        return write_compare_report(folder, sides, kept)
    if (folder / STUDY_FILE).exists():
        rebuilt = _rebuild_study(folder)
        if rebuilt is not None:
            return rebuilt
    runs = dict(_runs_by_side(folder))
    if not runs:
        raise _no_records(folder, kept)
    if kept is not None or (folder / STUDY_FILE).exists():
        _tell_unfinished(kept, listener)
    _refuse_several_tasks(folder, runs)
    if isinstance(kept, AblationNotes) and kept.verdict is not None:
        return write_ablate_report(folder, runs, kept)
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
    for side, group in groupby(
        _run_folders(folder), key=lambda run: re.sub(r"_seed\d+$", "", run.name)
    ):
        yield side, sorted((read_record(run) for run in group), key=lambda record: record.seed)


def _run_folders(folder: Path) -> list[Path]:
    below = folder / RUNS_FOLDER if (folder / RUNS_FOLDER).is_dir() else folder
    files = [*below.glob(f"*/{RECORD_FILE}"), *folder.glob(RECORD_FILE)]
    return sorted(file.parent for file in files)


def _refuse_several_tasks(folder: Path, runs: dict[str, list[Record]]) -> None:
    found = sorted({record.task for records in runs.values() for record in records})
    if len(found) > 1:
        raise RecordError(
            f"runs of one task in {folder}",
            f"those of {', '.join(found)}",
            f"Name the folder of one command or one run, like {_run_folders(folder)[-1]}.",
            code="SLP-622",
        )


def _side(name: str, records: list[Record]) -> report.Side:
    role = BASELINES.get(name, "winner" if name == PLAN else "run")
    return report.Side(
        label=name.replace("_", " "),
        role=role,  # type: ignore[arg-type]
        records=tuple(records),
    )


def _plan_of(record: Record) -> Plan:
    return Plan.from_dict(record.plan)


def _tell_unfinished(kept: Notes | None, listener: Listener) -> None:
    command = kept.command if kept is not None else "optimize"
    if isinstance(kept, AblationNotes | CompareNotes) and kept.verdict is not None:
        return
    said = (
        f"This '{command}' has not come to its end: the report shows the runs that are finished. "
        "Where it was interrupted, the same command with --out and --resume goes on with it."
    )
    listener(Notice(said, warning=True, code="SLP-646"))


def _no_records(folder: Path, kept: Notes | None = None) -> RecordError:
    if kept is not None or (folder / STUDY_FILE).exists():
        command = kept.command if kept is not None else "optimize"
        return RecordError(
            f"a finished run in {folder}",
            f"what '{command}' began, and no run of it that is finished",
            "Wait for it; where it was interrupted, the same command with --out and --resume goes "
            "on with it.",
            code="SLP-646",
        )
    return RecordError(
        f"a folder with records at {folder}",
        "none" if folder.is_dir() else "a file" if folder.exists() else "no such folder",
        "Name a folder that fit, compare, ablate or optimize wrote.",
        code="SLP-623",
    )
