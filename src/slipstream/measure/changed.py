"""Finished runs that would not be those of the task, data, plans and installation of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from slipstream.environment import environment
from slipstream.errors import RecordError
from slipstream.plan import Plan
from slipstream.record import RECORD_FILE, Record, read_record
from slipstream.task import TaskFacts

# Differences that are told, of those that there are.
MOST_NAMED = 6


def refuse_changed(folder: Path, facts: TaskFacts, sides: Mapping[str, Plan]) -> None:
    """Refuse to go on beside finished runs that would have to be made anew.

    Args:
        folder: Where the run folders `<side>_seed<seed>` are, if any.
        facts: The task as it is now.
        sides: The plans that are to be run, by side.

    Raises:
        RecordError: A finished run is of another task, data, plan or environment; it says which
            run and what differs. Nothing was changed.
    """
    for path in sorted(folder.glob(f"*/{RECORD_FILE}")):
        try:
            record = read_record(path.parent)
        except RecordError:
            continue
        if record.outcome == "interrupted":
            continue
        plan = sides.get(path.parent.name.rpartition("_seed")[0])
        found = list(_differences(record, facts, plan))
        if found:
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise RecordError(
                f"the task, data, plans, versions and machine of the finished run {path.parent}",
                "; ".join(found[:MOST_NAMED]) + more,
                "Give what it was made with, or begin anew in another folder with --out. Nothing "
                "was changed.",
                code="SLP-648",
            )


def _differences(record: Record, facts: TaskFacts, plan: Plan | None) -> Iterator[str]:
    if record.fingerprint != facts.fingerprint:
        yield "another task"
    if record.data_hash != facts.data_hash:
        yield "other data"
    if plan is not None:
        mine = plan.edit({"seeds.seed": record.seed})
        if record.plan_digest != mine.digest():
            yield "another plan"
    here = environment()
    for before, now in (
        (record.environment.versions, here.versions),
        (record.environment.machine, here.machine),
    ):
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                yield f"{name} {now.get(name, 'none')} where it was {before.get(name, 'none')}"
