"""The options that commands share, and how their texts become values."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipstream.errors import PlanError, together

if TYPE_CHECKING:
    from slipstream.plan import Value

TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A built-in task, a Python file (my_task.py or my_task.py:name), "
        "package.module:name, or a handed-over folder.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for results. Default: runs/TASK-COMMAND-DATE-TIME."),
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=2, help="Runs of each plan.")]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on in --out, or in the newest folder of this task."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data-dir", exists=True, file_okay=False, help="Where data sets lie."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on standard output.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and result only.")]
PlanOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A plan. Default: the task as given.")
]
FileOption = Annotated[
    Path | None, typer.Option("--out", help="File to write. Default: standard output.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the plan; repeatable."),
]


def parse_changes(texts: Sequence[str] | None) -> dict[str, Value]:
    """Return the keys and values of "schedule.peak=3e-3" and the like; values are TOML.

    A word needs no quotes.

    Raises:
        PlanError: There is no "=", no such key, or a value that the key cannot have.

    Example:
        >>> parse_changes(["schedule.peak=3e-3", "optimizer.name=adamw", "batch.size=64"])
        {'schedule.peak': 0.003, 'optimizer.name': 'adamw', 'batch.size': 64}
    """
    from slipstream.plan import unknown_keys, wrong_values
    from slipstream.plan.spelling import shown

    changes: dict[str, Value] = {}
    wrong: list[PlanError] = []
    for text in texts or ():
        key, equals, value = text.partition("=")
        key = key.strip()
        unknown = unknown_keys([key]) if equals else []
        if not equals:
            wrong.append(
                PlanError(
                    "--set KEY=VALUE",
                    shown(text),
                    "Write --set schedule.peak=3e-3.",
                    code="SLP-010",
                )
            )
        elif not unknown:
            changes[key] = _value(value.strip())
        wrong += unknown
    wrong += wrong_values(changes)
    if wrong:
        raise together(wrong)
    return changes


def parse_backends(text: str) -> tuple[str, ...]:
    """Return the names in "tensorflow,jax".

    Raises:
        BackendError: One of them is unknown or not installed.

    Example:
        >>> parse_backends("")
        ()
    """
    from slipstream.measure import require_backend

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        require_backend(name)
    return names


def parse_techniques(texts: str) -> tuple[str, ...]:
    """Return the names in "sam,mixup".

    Raises:
        InputError: There is no such technique.

    Example:
        >>> parse_techniques("sam, mixup")
        ('sam', 'mixup')
    """
    from slipstream.techniques import get

    names = dict.fromkeys(name.strip() for name in texts.split(",") if name.strip())
    return tuple(get(name).name for name in names)


def _value(text: str) -> Value:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    # Numbers of thousands of digits, and brackets without end, are errors of Python's own.
    except (ValueError, RecursionError):
        return _number_or_word(text)
    return value if isinstance(value, str | int | float | bool) else text


def _number_or_word(text: str) -> Value:
    # Python's numbers that TOML has not: .5, 1., 1_0.
    try:
        return float(text)
    except ValueError:
        return text
