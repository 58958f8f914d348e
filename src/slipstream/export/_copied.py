"""Definitions of Slipstream's own that are plain Keras, copied into a script word for word."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# What copied definitions need, by what stands in them.
NEEDS = {
    r"(?<![\w.])ops\.": "from keras import ops",
    r"(?<![\w.])re\.": "import re",
    r"(?<![\w.])math\.": "import math",
    r"\bMapping\b": "from collections.abc import Mapping",
    r"\bNDArray\b": "from numpy.typing import NDArray",
    r"\bSimpleNamespace\(": "from types import SimpleNamespace",
    r"@dataclass\b": "from dataclasses import dataclass",
    r"(?<![\w.])field\(": "from dataclasses import field",
    r"(?<![\w.])inspect\.": "import inspect",
    r"(?<![\w.])pairwise\(": "from itertools import pairwise",
    r"\bCounter\(": "from collections import Counter",
    r"\(ABC\)": "from abc import ABC",
    r"\bLiteral\[": "from typing import Literal",
    r"@cache\b": "from functools import cache",
    r"\bAny\b": "from typing import Any",
    r"\bCallable\b": "from collections.abc import Callable",
    r"\bIterator\b": "from collections.abc import Iterator",
    r"\bNamedTuple\b": "from typing import NamedTuple",
    r"\bSequence\b": "from collections.abc import Sequence",
}


@cache
def copied(module: str, name: str) -> str:
    """Return the source of a class, function or constant; of each docstring, its first line alone.

    Args:
        module: The module's dotted name; it is read, not imported.
        name: The definition's name.

    Example:
        >>> copied("slipstream.ops.norm_statistics", "normalizations").splitlines()[0]
        'def normalizations(model: Any) -> list[Any]:'
    """
    text = _text_of(module)
    definition = next(node for node in ast.parse(text).body if name in _defined(node))
    lines: list[str | None] = list(text.splitlines())
    for docstring in _docstrings(definition):
        start, end = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        first = str(lines[start])
        lines[start:end] = [first if first.endswith('"""') and start + 1 == end else f'{first}"""']
        lines[start + 1 : start + 1] = [None] * (end - start - 1)
    kept = [
        # What a type checker is told here does not hold there.
        re.sub(r"  # type: ignore\[[\w-]+\]", "", line)
        for line in lines[_start(definition) - 1 : definition.end_lineno]
        if line is not None
    ]
    return "\n".join(kept)


def _defined(node: ast.stmt) -> tuple[str, ...]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return (node.name,)
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return tuple(target.id for target in targets if isinstance(target, ast.Name))


def copied_module(module: str) -> str:
    """Return all that a module defines, as `copied` does; its imports are left out.

    Example:
        >>> copied_module("slipstream.rewrite.residual").splitlines()[0]
        'Way = Literal["plain", "gated"]'
    """
    text = _text_of(module)
    lines = text.splitlines()
    parts = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            parts.append(f"\n\n{copied(module, node.name)}")
        elif isinstance(node, ast.Assign):
            parts.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return "\n".join(parts).strip("\n")


def only_used(text: str, by: str) -> str:
    """Return those definitions of a source text that another text needs, and what these need.

    Example:
        >>> only_used("ONE = 1\\nTWO = ONE + 1\\nTHREE = 3", "print(TWO)").split("\\n")
        ['ONE = 1', 'TWO = ONE + 1']
    """
    lines, statements = text.splitlines(), ast.parse(text).body
    starts = [_first_line(node, lines) for node in statements]
    parts = [
        "\n".join(lines[start : node.end_lineno])
        for start, node in zip(starts, statements, strict=True)
    ]
    kept: set[int] = set()
    wanted = _names_read(by)
    while new := {
        place for place, part in enumerate(parts) if place not in kept and names_in(part) & wanted
    }:
        kept |= new
        wanted |= {name for place in new for name in _names_read(parts[place])}
    ends = [0, *_ends(statements)]
    gaps = ["\n" * (start - end) for start, end in zip(starts, ends, strict=False)]
    return "\n".join(gaps[place] + parts[place] for place in sorted(kept)).strip("\n")


def _names_read(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _ends(statements: list[ast.stmt]) -> list[int]:
    return [node.end_lineno or node.lineno for node in statements]


def _first_line(node: ast.stmt, lines: list[str]) -> int:
    """Return the place of the line on which a statement, its decorators and comments begin."""
    start: int = min(d.lineno for d in [*getattr(node, "decorator_list", ()), node]) - 1
    while start > 0 and lines[start - 1].startswith("#"):
        start -= 1
    return start


def names_in(text: str) -> set[str]:
    """Return the names that a source text defines at its top level.

    Example:
        >>> sorted(names_in("SIZE = 1; LIMIT = 2"))
        ['LIMIT', 'SIZE']
    """
    body = ast.parse(text).body
    defined = {n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    targets = [target for n in body if isinstance(n, ast.Assign) for target in n.targets]
    return defined | {target.id for target in targets if isinstance(target, ast.Name)}


def needs(text: str) -> set[str]:
    """Return the imports that copied definitions in a text need.

    Example:
        >>> needs("size = ops.shape(x)")
        {'from keras import ops'}
    """
    return {line for pattern, line in NEEDS.items() if re.search(pattern, text)}


def _text_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _start(definition: ast.stmt) -> int:
    """Return the line on which a definition starts, decorators of this package left out."""
    decorators: list[ast.expr] = getattr(definition, "decorator_list", [])
    kept = [d.lineno for d in decorators if ast.unparse(d) in _KEPT]
    return min([*kept, definition.lineno])


def _docstrings(definition: ast.AST) -> Iterator[ast.Expr]:
    for node in ast.walk(definition):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first


_KEPT = ("cache", "dataclass", "dataclass(frozen=True)")
