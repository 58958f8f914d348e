"""On which line of a TOML text a key stands: the parser of the standard library does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

_HEADER = re.compile(r"""\s*\[\[?((?:[^\]"'#]|"[^"]*"|'[^']*')+)\]""")
_KEY = re.compile(r"""\s*((?:[^="'#\[\]{},]|"(?:[^"\\]|\\.)*"|'[^']*')+)=""")
_BARE = re.compile(r"[\w-]+(?:[ \t]*\.[ \t]*[\w-]+)*[ \t]*", re.ASCII)
_LINE_SAID = re.compile(r"\bline \d+|end of document")


def line_of(text: str, location: Sequence[str]) -> int | None:
    """Return the line (from 1) on which a section or one of its keys stands.

    A key within a section that is written in one line, `batch = {size = 3}`, stands on that line.

    Example:
        >>> line_of("# a plan\\n[batch]\\nsize = 3", ["batch", "size"])
        3
    """
    wanted, around = list(location), None
    for number, path, is_header in _paths(text):
        if path[: len(wanted)] == wanted:
            return number
        if around is None and not is_header and path == wanted[: len(path)]:
            around = number
    return around


def with_line(text: str, error: Exception) -> str:
    """Return what is wrong with a TOML text, with a line where the parser names none.

    Numbers of thousands of digits and brackets without end are errors of Python's own: the line
    is then the one with the most digits, or brackets.
    """
    said = str(error)
    if _LINE_SAID.search(said):
        return said
    is_depth = isinstance(error, RecursionError)
    marks = "[{" if is_depth else "0123456789"
    counts = [sum(line.count(mark) for mark in marks) for line in text.split("\n")]
    what = "values nested too deeply" if is_depth else "a number of too many digits"
    return f"{what} (at line {counts.index(max(counts)) + 1})"


def _paths(text: str) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the line, the whole path and whether it is a header, of each header and key."""
    section: list[str] = []
    # TOML has no other ends of lines; str.splitlines has a dozen.
    for number, line in enumerate(text.split("\n"), start=1):
        header = _HEADER.match(line)
        if header:
            section = _parts(header[1])
            yield number, section, True
            continue
        key = _KEY.match(line)
        if key:
            yield number, [*section, *_parts(key[1])], False


def _parts(written: str) -> list[str]:
    """Return the parts of a key, of which each may be quoted, with escapes."""
    if _BARE.fullmatch(written):
        return [part.strip() for part in written.split(".")]
    try:
        nest: Any = tomllib.loads(f"{written} = 0")
    except (ValueError, RecursionError):
        # Within a text of several lines.
        return [written]
    parts: list[str] = []
    while isinstance(nest, dict):
        name, nest = next(iter(nest.items()))
        parts.append(name)
    return parts
