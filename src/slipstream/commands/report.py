"""A folder of records back into its report."""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from slipstream import report
from slipstream.commands import evidence
from slipstream.commands.compare import CompareNotes, read_sides, write_compare_report
from slipstream.commands.fit import COMMAND_FILE, FitNotes, write_fit_report
from slipstream.commands.folders import REPORT_FILE
from slipstream.errors import RecordError
from slipstream.plan import Plan, to_toml
from slipstream.record import RECORD_FILE, Record, read_record

BASELINES = {"as_given": "baseline", "tuned_baseline": "tuned baseline", "a": "baseline"}


def rebuild(folder: Path) -> Path:
    """Write report.html anew from what a folder holds; nothing is trained.

    Args:
        folder: What `fit`, `compare`, `ablate` or `optimize` wrote, or a folder of run folders.

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
    return _write_plain(folder)


def _write_plain(folder: Path) -> Path:
    """Write a report that shows the runs of every side, without a verdict."""
    runs = sorted(
        {
            file.parent
            for file in (
                *folder.glob(f"*/{RECORD_FILE}"),
                *folder.glob(f"*/*/{RECORD_FILE}"),
                *folder.glob(RECORD_FILE),
            )
        }
    )
    if not runs:
        raise _no_records(folder)
    sides = [
        (name, tuple(read_record(run) for run in group))
        for name, group in groupby(runs, key=lambda run: re.sub(r"_seed\d+$", "", run.name))
    ]
    # Baselines first, the winner last.
    sides.sort(key=lambda side: (side[0] == "winner", side[0] not in BASELINES, side[0]))
    last = sides[-1][1][0]
    content = report.ReportInput(
        sides=tuple(_side(name, records) for name, records in sides),
        plan=to_toml(Plan.from_dict(last.plan)),
        machine=evidence.machine_of(last.environment),
        versions=dict(last.environment.versions),
        written_at=evidence.now(),
        version=evidence.VERSION,
    )
    return report.write(content, folder / REPORT_FILE)


def _side(name: str, records: tuple[Record, ...]) -> report.Side:
    role = BASELINES.get(name, "winner" if name == "winner" else "run")
    return report.Side(label=name.replace("_", " "), role=role, records=records)  # type: ignore[arg-type]


def _kept(folder: Path) -> FitNotes | CompareNotes | None:
    """Return what the command that wrote the folder has kept for its report."""
    file = folder / COMMAND_FILE
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        kind = FitNotes if values.get("command") == "fit" else CompareNotes
        return kind.model_validate(values)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise RecordError(
            f"{file} to be readable",
            f"{type(error).__name__}: {str(error).splitlines()[0]}",
            "Delete that file to get a report of the records alone.",
        ) from None


def _no_records(folder: Path) -> RecordError:
    return RecordError(
        f"a folder with records at {folder}",
        "none" if folder.is_dir() else "no such folder",
        "Name a folder that fit, compare, ablate or optimize wrote.",
    )
