"""What the reports of all commands have in common."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipstream import report
from slipstream._version import __version__
from slipstream.doctor import Finding
from slipstream.plan import Plan
from slipstream.record import Environment, Record, Signal


def environment_of(records: Sequence[Record]) -> tuple[dict[str, str], dict[str, str]]:
    """Return machine and versions of the first record, as text."""
    return described(records[0].environment if records else None)


def described(environment: Environment | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return machine and versions as text; of None, nothing."""
    if environment is None:
        return {}, {}
    values = dict(environment.machine)
    memory = values.pop("memory_bytes", None)
    machine = {name.replace("_", " "): str(value) for name, value in values.items()}
    if isinstance(memory, int):
        machine["memory"] = f"{memory / 2**30:.1f} GiB"
    return machine, dict(environment.versions)


def command_line(*words: object) -> str:
    """Return a command line of Slipstream's that a shell takes word by word as given.

    Example:
        >>> command_line("fit", "my task.py", "--plan", Path("plan.toml"))
        "slipstream fit 'my task.py' --plan plan.toml"
    """
    return shlex.join(["slipstream", *map(str, words)])


def crash_notice(crashed: Sequence[str]) -> tuple[report.Notice, ...]:
    """Return what a report says of runs whose process ended without leaving a record."""
    if not crashed:
        return ()
    title = f"{len(crashed)} run{'s' if len(crashed) > 1 else ''} ended without a record"
    text = (
        f"{'; '.join(crashed)}. The verdict counts a run like that as one that never met the "
        "target; the table and the curves may lack it."
    )
    return (report.Notice(title=title, text=text, warning=True),)


def labelled(plan: Plan, baseline: Plan) -> tuple[report.Change, ...]:
    """Return the keys in which a plan differs from the baseline; the seed is no such key.

    Example:
        >>> labelled(Plan().edit({"batch.size": 64, "seeds.seed": 3}), Plan())
        (Change(key='batch.size', before='32', after='64'),)
    """
    return tuple(
        report.Change(key=key, before=_text(before), after=_text(after))
        for key, (after, before) in plan.difference(baseline).items()
        if key != "seeds.seed"
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def noticed(findings: Sequence[Finding]) -> tuple[report.Notice, ...]:
    """Return the checks' warnings as the report shows them."""
    return tuple(
        report.Notice(title=finding.what, text=f"{finding.where}. {finding.mend}", warning=True)
        for finding in findings
    )


def signal_in_words(signal: Signal) -> str:
    """Return what a run showed as one line.

    Example:
        >>> signal = Signal(epoch=3.0, step=9, kind="dead_units", seen="half of a", advice="Mend.")
        >>> signal_in_words(signal)
        'dead units at epoch 3: half of a. Mend.'
    """
    return f"{_kind(signal)} at epoch {signal.epoch:g}: {signal.seen}. {signal.advice}"


def signalled(sides: Sequence[report.Side]) -> tuple[report.Notice, ...]:
    """Return what the runs of each side showed, each kind once, as the report shows it."""
    notices = []
    for side in sides:
        kinds = dict.fromkeys(signal.kind for run in side.records for signal in run.events)
        for kind in kinds:
            of_kind = [
                [signal for signal in run.events if signal.kind == kind] for run in side.records
            ]
            first = next(signals[0] for signals in of_kind if signals)
            runs = sum(bool(signals) for signals in of_kind)
            where = f" in {runs} of {len(of_kind)} runs" if len(of_kind) > 1 else ""
            label = f"{side.label}: " if len(sides) > 1 else ""
            title = f"{label}{_kind(first)} at epoch {first.epoch:g}{where}"
            text = f"{first.seen[:1].upper()}{first.seen[1:]}. {first.advice}"
            most = max(map(len, of_kind))
            if most > 1:
                text += f" It was told {most} times in a run: its record has each (events)."
            notices.append(report.Notice(title=title, text=text, warning=True))
    return tuple(notices)


def _kind(signal: Signal) -> str:
    return signal.kind.replace("_", " ")


def values_of(findings: Iterable[Finding]) -> tuple[dict[str, str], ...]:
    """Return findings as plain values; `findings_of` reads them."""
    return tuple(dict(vars(finding)) for finding in findings)


def findings_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return findings that were kept as plain values."""
    return tuple(Finding(**values) for values in stored)


def write_report(
    folder: Path, content: report.ReportInput, findings: Sequence[Finding] = ()
) -> Path:
    """Write report.html with the warnings, the version and the time added."""
    return report.write(
        replace(
            content,
            notices=noticed(findings) + signalled(content.sides) + content.notices,
            written_at=datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
            version=__version__,
        ),
        folder / "report.html",
    )
