"""What the folder of a run says of going on with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.checkpoint.lock import LOCK_FILE
from slipstream.commands._notes import COMMAND_FILE, FitNotes, read_notes
from slipstream.commands.folders import PLAN_FILE
from slipstream.errors import InputError, RecordError
from slipstream.plan import Plan, Value, read_plan
from slipstream.record import RECORD_FILE, Record, read_record

# Failures that a training comes to by itself, and would come to again.
LASTING_FAILURES = ("Diverged",)
# A worker whose command was killed ends by itself, but not in the same moment.
PATIENCE_SECONDS = 5.0
# Keys that differ, of those that are told.
MOST_NAMED = 6


def refuse_taken(folder: Path) -> None:
    """Raise InputError where another process trains in a folder, and goes on doing so."""
    if not (folder / LOCK_FILE).exists():
        return
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with RunLock(folder):
                return
        except InputError:
            if time.monotonic() > give_up:
                raise
        time.sleep(0.1)


def is_under_way(folder: Path) -> bool:
    """Whether a folder holds checkpoints: of a run that only its own plan goes on with."""
    return not CheckpointStore(folder).is_empty()


def begun_with(folder: Path, reference: str) -> FitNotes | None:
    """Return what a run was begun with, or None where none was begun.

    Raises:
        InputError: The folder holds another command's work, or a run of another task.
    """
    notes = read_notes(folder) if (folder / COMMAND_FILE).exists() else None
    if notes is None:
        return None
    if isinstance(notes, FitNotes) and notes.reference == reference:
        return notes
    raise InputError(
        f"what 'slipstream fit' began on {reference} in {folder}",
        f"what 'slipstream {notes.command}' wrote on {notes.reference}",
        "Name another folder with --out.",
        code="SLP-605",
    )


def finished_run(
    folder: Path, plan: Plan | None, changes: Mapping[str, Value], notes: FitNotes | None
) -> Record | None:
    """Return the record of a run that came to its end; None where there is training left.

    Raises:
        InputError: It was made as another plan says than the one that is asked for.
    """
    if notes is None or not (folder / RECORD_FILE).exists():
        return None
    try:
        record = read_record(folder)
    except RecordError:
        # A run is finished when its record is.
        return None
    failed_for_good = record.failure is not None and record.failure.kind in LASTING_FAILURES
    if record.outcome == "interrupted" or (record.failure is not None and not failed_for_good):
        return None
    begun = Plan.from_dict(record.plan)
    others = begun.difference((plan or begun).edit(changes))
    if others:
        raise InputError(
            f"the plan of the finished run in {folder}",
            f"one with another {', '.join(others)}",
            "Name another folder with --out.",
            code="SLP-606",
        )
    return record


def plan_to_go_on_with(
    folder: Path, plan: Plan | None, changes: Mapping[str, Value], notes: FitNotes | None
) -> Plan | None:
    """Return the plan that a run goes on with, before changes: its own, where none is asked for.

    Args:
        folder: The run's folder.
        plan: The plan that was asked for.
        changes: Dotted keys that are to be changed in it.
        notes: What the run was begun with.

    Raises:
        InputError: There are checkpoints, and the plan with its changes is another one than theirs.
    """
    file = folder / PLAN_FILE
    if notes is None or not file.exists():
        return plan
    begun = read_plan(file)
    wanted = (plan or begun).edit(changes)
    others = wanted.difference(begun)
    if others and is_under_way(folder):
        told = [f"{key} = {now!r} where it was {before!r}" for key, (now, before) in others.items()]
        more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        raise InputError(
            f"the plan that the run in {folder} began with: no key can change in its middle",
            "; ".join(told[:MOST_NAMED]) + more,
            "Leave --set and --plan away to go on with it. To train the changed plan, begin "
            f"another run: --plan {file} with --set, and another folder with --out.",
            code="SLP-610",
        )
    return plan or begun
