"""What every report says of the circumstances of its runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from slipstream import report
from slipstream._version import __version__
from slipstream.doctor import Finding
from slipstream.plan import Plan
from slipstream.record import Environment

VERSION = __version__


def machine_of(environment: Environment) -> dict[str, str]:
    """Return the machine as it should be read.

    Example:
        >>> machine_of(Environment(machine={"memory_bytes": 8 * 2**30}, versions={}))
        {'memory': '8.0 GiB'}
    """
    values = dict(environment.machine)
    memory = values.pop("memory_bytes", None)
    shown = {name.replace("_", " "): str(value) for name, value in values.items()}
    if isinstance(memory, int):
        shown["memory"] = f"{memory / 2**30:.1f} GiB"
    return shown


def changes_between(baseline: Plan, plan: Plan) -> tuple[report.Change, ...]:
    """Return every key in which a plan differs from a baseline; the seed is no such key.

    Example:
        >>> changes_between(Plan(), Plan().edit({"batch.size": 64}))
        (Change(key='batch.size', before='32', after='64'),)
    """
    return tuple(
        report.Change(key=key, before=_text(before), after=_text(after))
        for key, (before, after) in baseline.difference(plan).items()
        if key != "seeds.seed"
    )


def warnings_of(findings: Iterable[Finding | Mapping[str, str]]) -> tuple[report.Notice, ...]:
    """Return the findings of the checks as notices of a report."""
    made = [f if isinstance(f, Finding) else Finding(**f) for f in findings]  # type: ignore[arg-type]
    return tuple(
        report.Notice(
            title=f"Expected {finding.what}; got {finding.where}",
            text=finding.mend,
            warning=True,
        )
        for finding in made
    )


def now() -> str:
    """Return the time of day and date, as it should be read."""
    return time.strftime("%Y-%m-%d %H:%M %Z").strip()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
