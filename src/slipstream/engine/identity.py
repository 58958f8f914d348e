"""What a run is a run of: to be gone on with exactly, all of it has to be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slipstream.data.splits import Data
from slipstream.engine.fingerprint import fingerprint
from slipstream.environment import environment
from slipstream.errors import RecordError
from slipstream.plan import Plan
from slipstream.task import Task

MOST_NAMED = 6


def identity_of(task: Task, plan: Plan, data: Data) -> dict[str, Any]:
    """Return what tells a run from others, as plain values; the plan has backend and seed."""
    here = environment()
    return {
        "task": fingerprint(task),
        "data": data.digest(),
        "plan": dict(plan.flat()),
        "versions": dict(here.versions),
        "machine": dict(here.machine),
    }


def refuse_others(kept: Mapping[str, Any], mine: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with another run's checkpoint.

    Args:
        kept: The identity in the checkpoint.
        mine: That of the run that is to go on.
        folder: The run folder.

    Raises:
        RecordError: Task, data, plan or versions differ; it says in what.
    """
    found = list(_differences(kept, mine))
    if not found:
        return
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    raise RecordError(
        f"the task, data, plan and versions that the run in {folder} began with",
        "; ".join(found[:MOST_NAMED]) + more,
        "Give what it began with, or begin another run: name another folder with --out.",
        code="SLP-610",
    )


def on_another_machine(kept: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """Return a note where a run goes on elsewhere, where nothing is exact; "" where it does not.

    Example:
        >>> machine = {"processor": "A", "memory_bytes": 1}
        >>> on_another_machine({"machine": machine}, {"machine": machine | {"memory_bytes": 2}})
        ''
    """
    # Memory and the name of the system's version compute nothing.
    computing = ("processor", "logical_cores")
    found = [
        f"{name} {mine['machine'].get(name)} in place of {kept['machine'].get(name)}"
        for name in computing
        if mine["machine"].get(name) != kept["machine"].get(name)
    ]
    if not found:
        return ""
    return (
        f"Gone on with on another machine ({', '.join(found)}): results may differ in the last "
        "bits from those of a run that was not interrupted."
    )


def _differences(kept: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs, each in words.

    Example:
        >>> one = {"task": "a", "data": "b", "plan": {"seeds.seed": 0}, "versions": {"keras": "3"}}
        >>> [*_differences(one, one | {"data": "c", "plan": {"seeds.seed": 1}})]
        ['other data', 'seeds.seed = 1 where it was 0']
    """
    if kept["task"] != mine["task"]:
        yield "another task, or one whose code or settings changed"
    if kept["data"] != mine["data"]:
        yield "other data"
    for key in dict.fromkeys([*kept["plan"], *mine["plan"]]):
        before, now = kept["plan"].get(key), mine["plan"].get(key)
        if before != now:
            yield f"{key} = {now!r} where it was {before!r}"
    for name in dict.fromkeys([*kept["versions"], *mine["versions"]]):
        before, now = kept["versions"].get(name), mine["versions"].get(name)
        if before != now:
            yield f"{name} {now or 'missing'} where it was {before or 'missing'}"
