"""What the reports of all commands have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from slipstream import report
from slipstream._version import __version__
from slipstream.doctor import Finding
from slipstream.plan import Plan
from slipstream.record import Record


def environment_of(records: Sequence[Record]) -> tuple[dict[str, str], dict[str, str]]:
    """Return machine and versions of the first record, as text."""
    if not records:
        return {}, {}
    environment = records[0].environment
    machine = {name: str(value) for name, value in environment.machine.items()}
    return machine, dict(environment.versions)


def labelled(plan: Plan, baseline: Plan) -> tuple[report.Change, ...]:
    """Return the keys in which a plan differs from the baseline."""
    return tuple(
        report.Change(key=key, before=str(before), after=str(after))
        for key, (after, before) in plan.difference(baseline).items()
    )


def noticed(findings: Sequence[Finding]) -> tuple[report.Notice, ...]:
    """Return the checks' warnings as the report shows them."""
    return tuple(
        report.Notice(title=finding.what, text=f"{finding.where}. {finding.mend}", warning=True)
        for finding in findings
    )


def write_report(
    folder: Path, content: report.ReportInput, findings: Sequence[Finding] = ()
) -> Path:
    """Write report.html with the warnings, the version and the time added."""
    return report.write(
        replace(
            content,
            notices=noticed(findings) + content.notices,
            written_at=datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
            version=__version__,
        ),
        folder / "report.html",
    )
