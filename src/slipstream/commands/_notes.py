"""What a command keeps in its folder beside the records: whose it is, and what its report says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from slipstream.commands._writing import values_of
from slipstream.doctor import Finding
from slipstream.errors import InputError, RecordError
from slipstream.files import read_json
from slipstream.record import RECORD_FILE, Environment, JsonModel, Record, write_json
from slipstream.task import TaskFacts
from slipstream.verdict import AblationRow, Verdict

COMMAND_FILE = "command.json"
RUNS_FOLDER = "runs"


class FitNotes(JsonModel):
    """What a fit's report says beside its record."""

    command: Literal["fit"] = "fit"
    reference: str
    as_given: dict[str, dict[str, Any]]
    facts: TaskFacts | None = None
    warnings: tuple[dict[str, str], ...] = ()

    @classmethod
    def of(cls, reference: str, facts: TaskFacts, warnings: Iterable[Finding]) -> FitNotes:
        """Return the notes of a fit that begins, after the look at its task."""
        return cls(
            reference=reference,
            as_given=facts.as_given.to_dict(),
            facts=facts,
            warnings=values_of(warnings),
        )


class CompareNotes(JsonModel):
    """What a comparison is about and, when all runs are done, what its report says of them."""

    command: Literal["compare"] = "compare"
    reference: str
    labels: tuple[str, str]
    num_seeds: int
    plans: tuple[dict[str, dict[str, Any]], ...] = ()
    warnings: tuple[dict[str, str], ...] = ()
    target: float | None = None
    target_from: str = ""
    verdict: Verdict | None = None
    crashed: tuple[str, ...] = ()

    def identity(self) -> tuple[object, ...]:
        """Return what has to be the same to go on with it."""
        return self.command, self.reference, self.plans


class AblationNotes(JsonModel):
    """What an ablation is about and, when all runs are done, what its report says of them."""

    command: Literal["ablate"] = "ablate"
    reference: str
    plan: dict[str, dict[str, Any]]
    num_seeds: int
    as_given: dict[str, dict[str, Any]] = Field(default_factory=dict)
    warnings: tuple[dict[str, str], ...] = ()
    target: float | None = None
    verdict: Verdict | None = None
    rows: tuple[AblationRow, ...] = ()
    crashed: tuple[str, ...] = ()

    def identity(self) -> tuple[object, ...]:
        """Return what has to be the same to go on with it."""
        return self.command, self.reference, self.plan


class OptimizeNotes(JsonModel):
    """What a study's report says beside its stages and records."""

    command: Literal["optimize"] = "optimize"
    reference: str
    budget_seconds: float
    environment: Environment


Notes = OptimizeNotes | FitNotes | CompareNotes | AblationNotes
KINDS: dict[str, type[Notes]] = {
    "fit": FitNotes,
    "compare": CompareNotes,
    "ablate": AblationNotes,
    "optimize": OptimizeNotes,
}


def write_notes(folder: Path, notes: Notes) -> Path:
    """Write what a command keeps; returns the file."""
    return write_json(folder / COMMAND_FILE, notes.model_dump(mode="json"))


def read_notes(folder: Path) -> Notes | None:
    """Return what the command that wrote a folder has kept, or None where it kept nothing.

    Raises:
        RecordError: It cannot be read.
    """
    file = folder / COMMAND_FILE

    def read() -> Notes:
        values = read_json(file)
        return KINDS[values["command"]].model_validate(values)

    return readable(file, read) if file.exists() else None


def readable(file: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` returns, or raise RecordError where the file is not as it should be."""
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise RecordError(
            f"{file} to be readable",
            f"{type(error).__name__}: {error}".splitlines()[0],
            "Delete that file to get a report of the records alone.",
            code="SLP-621",
        ) from None


def refuse_others(folder: Path, mine: CompareNotes | AblationNotes) -> None:
    """Refuse to go on with a folder that holds another command's work, or on other plans.

    Raises:
        InputError: It does.
    """
    kept = read_notes(folder)
    if kept is None:
        return
    if isinstance(kept, CompareNotes | AblationNotes) and kept.identity() == mine.identity():
        return
    same = (kept.command, kept.reference) == (mine.command, mine.reference)
    raise InputError(
        f"what 'slipstream {mine.command}' began on {mine.reference} in {folder}",
        f"what 'slipstream {kept.command}' wrote on {kept.reference}"
        + (", with other plans" if same else ""),
        "Name another folder with --out.",
        code="SLP-605",
    )


def crashed_runs(
    folder: Path, records: Mapping[str, Sequence[Record]], names: Mapping[str, str]
) -> tuple[str, ...]:
    """Return a sentence for each run whose process ended without leaving a record."""
    return tuple(_crashed(folder, records, names))


def _crashed(
    folder: Path, records: Mapping[str, Sequence[Record]], names: Mapping[str, str]
) -> Iterator[str]:
    for side, runs in records.items():
        for run in runs:
            file = folder / RUNS_FOLDER / f"{side}_seed{run.seed}" / RECORD_FILE
            if run.failure is not None and not file.exists():
                kind, message = run.failure.kind.replace("_", " "), run.failure.message
                yield f"{names.get(side, side)}, seed {run.seed}: {kind}: {message}"
