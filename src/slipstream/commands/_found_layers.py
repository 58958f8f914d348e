"""What runs found by measurement, written into their plan: the layers that stay in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from slipstream.errors import SlipstreamError
from slipstream.plan import Plan
from slipstream.record import RECORD_FILE, Record, read_record

KEY = "precision.float32_layers"


def with_found_layers(plan: Plan, folder: Path) -> Plan:
    """Return a plan that names the layers which a run of it found to need float32.

    A run with the plan's own seed is preferred. A plan that leaves nothing to a measurement, or
    of which there is no run, is returned as it is.

    Args:
        plan: The plan.
        folder: A run's folder, or that of a study, with its runs below.
    """
    if plan.precision.float32_layers.strip() != "auto":
        return plan
    found = [record for record in _records(folder) if _is_of(record, plan)]
    found.sort(key=lambda record: record.seed != plan.seeds.seed)
    return plan.adapt({KEY: _names(found[0].applied[KEY])}) if found else plan


def _records(folder: Path) -> Iterator[Record]:
    for file in (folder / RECORD_FILE, *sorted(folder.glob(f"runs/*/{RECORD_FILE}"))):
        # What is no record, or one of another version, tells nothing.
        with suppress(SlipstreamError):
            yield read_record(file.parent)


def _is_of(record: Record, plan: Plan) -> bool:
    mine, theirs = plan.to_dict(), dict(record.plan)
    return KEY in record.applied and {**theirs, "seeds": mine["seeds"]} == mine


def _names(said: str) -> str:
    """Return the layers that a record names.

    Example:
        >>> _names("a, b: of 7 layers, by measurement"), _names("none of 7 layers, by measurement")
        ('a, b', '')
    """
    return said.rpartition(": of ")[0]
