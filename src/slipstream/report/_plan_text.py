"""A plan's TOML, line by line, so that changes stand out and comments step back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class PlanLine:
    """One line: what counts, the comment after it, and whether the baseline has it otherwise."""

    code: str
    comment: str
    is_changed: bool


def plan_lines(toml: str, changed_keys: Collection[str]) -> list[PlanLine]:
    """Return the lines of a plan.

    Example:
        >>> plan_lines("[batch]\\nsize = 64  # examples", ["batch.size"])[1]
        PlanLine(code='size = 64', comment='  # examples', is_changed=True)
    """
    section = ""
    lines = []
    for text in toml.splitlines():
        code, comment = _split_comment(text)
        if code.startswith("["):
            section = code.strip("[] ")
        dotted = f"{section}.{code.partition('=')[0].strip()}"
        lines.append(PlanLine(code, comment, bool(code) and dotted in changed_keys))
    return lines


def _split_comment(text: str) -> tuple[str, str]:
    """Cut at the first # outside of a basic string."""
    inside = False
    for index, letter in enumerate(text):
        if letter == '"' and text[index - 1 : index] != "\\":
            inside = not inside
        elif letter == "#" and not inside:
            code = text[:index].rstrip()
            return code, text[len(code) :]
    return text.rstrip(), ""
