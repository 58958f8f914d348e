"""Plans as TOML: written with a comment for every section and key, read with line numbers."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slipstream.errors import PlanError
from slipstream.files import read_text, write_text
from slipstream.plan.clashes import ClashError
from slipstream.plan.lines import line_of, with_line
from slipstream.plan.plan import Plan, Value, all_keys
from slipstream.plan.spelling import MOST_COMPARED, explain_validation_error

# A plan with all of its comments is some twenty kilobytes long.
MOST_BYTES = 1 << 18
# The parser keeps each beginning of a dotted key: the square of its length.
_ENDLESS_KEY = re.compile(
    r"""(?<![\w-])(?>(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}"""
)


def to_toml(plan: Plan) -> str:
    """Write a plan as TOML text; `from_toml` of it is the same plan.

    Example:
        >>> from_toml(to_toml(Plan())) == Plan()
        True
    """
    lines = ["# A Slipstream plan: every training decision. Edit it, then: slipstream fit --plan"]
    for name in Plan.model_fields:
        section = getattr(plan, name)
        lines += ["", f"# {type(section).__doc__}", f"[{name}]"]
        for key, field in type(section).model_fields.items():
            lines.append(f"{key} = {_value(getattr(section, key))}  # {field.description}")
    return "\n".join(lines) + "\n"


def from_toml(text: str, source: str = "the plan") -> Plan:
    """Read a plan; raises PlanError with the key, the line and the nearest valid key."""
    try:
        _refuse_endless_keys(text)
        values: dict[str, Any] = tomllib.loads(text)
    # Numbers of thousands of digits, and brackets without end, are errors of Python's own.
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"{source} to be TOML",
            with_line(text, error),
            "Mend that line; strings need quotes.",
            code="SLP-105",
        ) from None
    try:
        return Plan.model_validate(values)
    except ValidationError as error:

        def where(problem: ErrorDetails) -> str:
            return f" in {source}{_lines_in_words(text, problem)}"

        raise explain_validation_error(error, all_keys(), where) from None


def _refuse_endless_keys(text: str) -> None:
    found = _ENDLESS_KEY.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key of more than 32 parts, line {line}")


def read_plan(path: str | Path) -> Plan:
    """Read a plan from a file; raises PlanError when it cannot be read."""
    path = Path(path)
    try:
        text = read_text(path, MOST_BYTES, pipes=True)
    except (OSError, ValueError) as error:
        raise PlanError(
            f"a plan in {path}",
            _why_unread(error),
            f"{_file_meant(path)}'slipstream optimize' and 'slipstream plan' write one.",
            code="SLP-107",
        ) from None
    # Some editors begin a text in UTF-8 with a mark of their own.
    return from_toml(text.removeprefix("\ufeff"), str(path))


def _file_meant(path: Path) -> str:
    """Return which file is most likely meant by one that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        beside = [file.name for file in path.parent.glob("*.toml")]
        inside = path / "plan.toml"
        near = difflib.get_close_matches(path.name[:MOST_COMPARED], beside, n=1)
        if inside.is_file():
            return f"Did you mean '{inside}'? "
        if near and not path.exists():
            return f"Did you mean '{path.with_name(near[0])}'? "
    return "Name a TOML file, where the command takes one; "


def _why_unread(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        line = bytes(error.object).count(b"\n", 0, error.start) + 1
        return f"a byte that is no UTF-8, line {line}"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def write_plan(plan: Plan, path: str | Path) -> None:
    """Write a plan beside its place, then rename it: a reader never sees half a plan."""
    write_text(Path(path), to_toml(plan))


def _value(value: Value) -> str:
    # JSON's strings, numbers and booleans are TOML's too; floats keep every digit through repr.
    if isinstance(value, float):
        text = repr(value)
        return text if any(mark in text for mark in ".e") else text + ".0"
    return json.dumps(value)


def _lines_in_words(text: str, problem: ErrorDetails) -> str:
    """Return where a problem stands, like ", lines 3 and 7"; "" where it stands nowhere."""
    cause = problem.get("ctx", {}).get("error")
    locations = [[str(part) for part in problem["loc"][:2]]]
    if isinstance(cause, ClashError):
        locations = [key.split(".") for key in cause.clash.keys]
    elif cause is not None and (named := re.match(r"\w+\.\w+", str(cause))):
        # What a section says of one of its keys begins with it.
        locations = [named[0].split("."), *locations] if named[0] in all_keys() else locations
        locations = locations[:1]
    lines = sorted({line for location in locations if (line := line_of(text, location))})
    if len(lines) < 2:
        return f", line {lines[0]}" if lines else ""
    return f", lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"
