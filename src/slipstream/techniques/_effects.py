"""What techniques and recipes were measured to do: stored comparisons, one file for each.

`bench/effects.py` writes them; pages and the command line read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from slipstream.record import JsonModel, write_json
from slipstream.verdict import Verdict

FOLDER = Path(__file__).parent / "effects"

Kind = Literal["technique", "recipe"]


class Comparison(JsonModel):
    """One side against which it was measured; a ratio above 1 means that it helps.

    Args:
        against: What the other side was, in words.
        verdict: The comparison, or None where there is none.
        failure: Why there is none.
    """

    against: str
    verdict: Verdict | None = None
    failure: str = ""


class Effect(JsonModel):
    """What one technique or recipe did on a built-in task.

    Args:
        kind: Whether it is a technique or a recipe.
        name: Its name.
        task: The task, "" where there is none that it applies to.
        ground: What it was put onto, in words.
        changes: The plan's keys that it changed there, with their values.
        comparisons: What came of it.
        machine: The processor, its cores and the operating system.
        versions: Of Keras and the backends.
        measured_on: The day, like "2026-11-22".
    """

    schema_version: Literal[1] = 1
    kind: Kind
    name: str
    task: str
    ground: str
    changes: dict[str, str | int | float | bool] = Field(default_factory=dict)
    comparisons: tuple[Comparison, ...]
    machine: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    measured_on: str = ""

    def sentences(self) -> list[str]:
        """Return what was measured in sentences, without full stops."""
        where = f"on {self.task}, put onto {self.ground}" if self.task else ""
        if self.kind == "recipe":
            where = f"on {self.task}, {self.ground}"
        return [_in_words(comparison, where, self.kind) for comparison in self.comparisons]


def stored_effect(kind: Kind, name: str, folder: Path = FOLDER) -> Effect | None:
    """Return what was measured of a technique or a recipe, or None.

    Example:
        >>> stored_effect("technique", "nothing_like_it") is None
        True
    """
    file = file_of(kind, name, folder)
    if not file.is_file():
        return None
    return Effect.model_validate_json(file.read_text(encoding="utf-8"))


def store_effect(effect: Effect, folder: Path = FOLDER) -> Path:
    """Write an effect to its file; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_json(file_of(effect.kind, effect.name, folder), effect.model_dump(mode="json"))


def file_of(kind: Kind, name: str, folder: Path = FOLDER) -> Path:
    """Return where an effect is stored.

    Example:
        >>> file_of("recipe", "tabular").name
        'recipe.tabular.json'
    """
    return folder / f"{kind}.{name}.json"


def _in_words(comparison: Comparison, where: str, kind: Kind) -> str:
    against = f" against {comparison.against}" if kind == "recipe" else ""
    verdict = comparison.verdict
    if verdict is None:
        return f"not measured{f' {where}' if where else ''}{against}: {comparison.failure}"
    told_apart = verdict.outcome in ("faster", "slower")
    if verdict.quality is not None:
        told_apart |= verdict.quality.outcome != "undecided"
    nothing = "" if told_apart else "no effect measured: "
    return f"{where}{against}: {nothing}{verdict.sentence()}"
