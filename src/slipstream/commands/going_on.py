"""What the folder of a run says of going on with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.checkpoint.lock import LOCK_FILE
from slipstream.commands._notes import COMMAND_FILE, FitNotes, Notes, read_notes
from slipstream.commands.folders import PLAN_FILE
from slipstream.errors import InputError, PlanError, RecordError
from slipstream.plan import Plan, Value, read_plan
from slipstream.progress import Notice
from slipstream.record import METRICS_FILE, Record, read_record

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


def lost_files(folder: Path) -> tuple[str, ...]:
    """Return which files that a run began with are gone or cannot be read."""
    return tuple(_lost(folder))


def _lost(folder: Path) -> Iterator[str]:
    try:
        if read_notes(folder) is None:
            yield COMMAND_FILE
    except RecordError:
        yield COMMAND_FILE
    if _plan_on_disk(folder) is None:
        yield PLAN_FILE


def notices(folder: Path, notes: FitNotes | None) -> Iterator[Notice]:
    """Yield what is to be told of going on with a run that is not finished."""
    if is_under_way(folder):
        for name in lost_files(folder):
            text = f"{name} of the run in {folder} is gone or damaged: it is written anew."
            yield Notice(text, warning=True, code="SLP-650")
    elif notes is None:
        yield Notice(f"{folder} holds no run to go on with: one is begun there.")
    elif (folder / METRICS_FILE).exists():
        text = f"{folder} holds no checkpoint of this run: it begins anew, at its first update."
        yield Notice(text, warning=True, code="SLP-649")


def begun_with(folder: Path, reference: str) -> FitNotes | None:
    """Return what a run was begun with, or None where none was begun.

    None, too, where that cannot be read, but there are checkpoints: they know it as well.

    Raises:
        InputError: The folder holds another command's work, or a run of another task.
    """
    notes = _notes_in(folder)
    if notes is not None:
        command, of_task = notes.command, notes.reference
    elif (record := _record_in(folder)) is not None and is_under_way(folder):
        command, of_task = "fit", record.reference
    else:
        return None
    if (command, of_task) == ("fit", reference):
        return notes if isinstance(notes, FitNotes) else None
    raise InputError(
        f"what 'slipstream fit' began on {reference} in {folder}",
        f"what 'slipstream {command}' wrote on {of_task}",
        "Name another folder with --out.",
        code="SLP-605",
    )


def _notes_in(folder: Path) -> Notes | None:
    try:
        return read_notes(folder)
    except RecordError as error:
        if is_under_way(folder):
            return None
        raise RecordError(
            error.expected,
            error.came,
            "There is no checkpoint to go on from: begin anew in another folder with --out.",
            code="SLP-621",
        ) from None


def _record_in(folder: Path) -> Record | None:
    with contextlib.suppress(RecordError):
        return read_record(folder)
    return None


def finished_run(
    folder: Path, plan: Plan | None, changes: Mapping[str, Value], notes: FitNotes | None
) -> Record | None:
    """Return the record of a run that came to its end; None where there is training left.

    Raises:
        InputError: It was made as another plan says than the one that is asked for.
    """
    if notes is None and not is_under_way(folder):
        return None
    # A run is finished when its record is.
    record = _record_in(folder)
    if record is None:
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
        InputError: There are checkpoints, and the plan with its changes is another one than theirs,
            or the file in the folder is.
    """
    file = folder / PLAN_FILE
    if not is_under_way(folder):
        return (plan or read_plan(file)) if notes is not None and file.exists() else plan
    on_disk = _plan_on_disk(folder)
    begun = _plan_of_checkpoint(folder) or on_disk
    if begun is None:
        return plan
    others = _told((plan or begun).edit(changes), begun)
    if others:
        raise InputError(
            f"the plan that the run in {folder} began with: no key can change in its middle",
            others,
            "Leave --set and --plan away to go on with it. To train the changed plan, begin "
            f"another run: --plan {file} with --set, and another folder with --out.",
            code="SLP-610",
        )
    changed = _told(on_disk or begun, begun)
    if changed and plan is None:
        raise InputError(
            f"{file} as it was when the run began: no key can change in its middle",
            changed,
            f"Delete {file} to go on with the plan of the checkpoint. To train the changed plan, "
            f"begin another run: --plan {file}, and another folder with --out.",
            code="SLP-610",
        )
    return begun


def _told(now: Plan, begun: Plan) -> str:
    others = now.difference(begun)
    told = [f"{key} = {new!r} where it was {before!r}" for key, (new, before) in others.items()]
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return "; ".join(told[:MOST_NAMED]) + more


def _plan_on_disk(folder: Path) -> Plan | None:
    with contextlib.suppress(PlanError):
        return read_plan(folder / PLAN_FILE)
    return None


def _plan_of_checkpoint(folder: Path) -> Plan | None:
    found = CheckpointStore(folder).latest()
    if found is None:
        return None
    values: dict[str, dict[str, Value]] = {}
    for dotted, value in found.snapshot.values.get("identity", {}).get("plan", {}).items():
        section, _, key = dotted.partition(".")
        values.setdefault(section, {})[key] = value
    # One of another version, which the worker refuses, may have other keys.
    with contextlib.suppress(PlanError):
        return Plan.from_dict(values) if values else None
    return None
