"""The sentences of messages, read from the source: what varies stands in braces."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from slipstream.doctor import CODES

PACKAGE = Path(__file__).parents[1]
UNNAMED = "{...}"


def sentences(code: str) -> list[str]:
    """Return the sentences of an identifier, as the source has them, each once.

    Example:
        >>> print(sentences("SLP-010")[0])
        Expected --set KEY=VALUE; got {text}. Write --set schedule.peak=3e-3.
    """
    names = {code: name for name, code in CODES.items()}
    # A check names itself, and not its identifier.
    found = [sentences_in(PACKAGE, f'"{name}"') for name in (code, names.get(code)) if name]
    return [sentence for of_name in found for sentence in of_name.get(code, [])]


def sentences_in(folder: Path, holding: str = "SLP-") -> dict[str, list[str]]:
    """Return the sentences of all identifiers in the files of a folder that hold a text."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text("utf-8")
        if holding in text:
            for code, sentence in _raised(ast.parse(text)):
                found.setdefault(code, []).append(sentence)
    return {code: list(dict.fromkeys(of_code)) for code, of_code in found.items()}


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", "")
        parts = [in_words(argument) for argument in node.args]
        if called == "Finding" and len(parts) >= 5 and parts[0] in CODES:
            # The name of the check and how grave it is stand before.
            yield CODES[parts[0]], f"Expected {parts[2]}; got {parts[3]}. {parts[4]}"
        for code in codes_of(node):
            if called == "Row":
                # Advice on what Keras said: kinds of errors, a pattern, the advice.
                yield code, parts[2]
            elif len(parts) >= 3:
                yield code, f"Expected {parts[0]}; got {parts[1]}. {parts[2]}"
            elif parts:
                yield code, parts[0]


def codes_of(call: ast.Call) -> list[str]:
    """Return the identifiers that a call names as its `code`."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    nodes = [node for one in given for node in ast.walk(one)]
    texts = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    return [text for text in texts if re.fullmatch(r"SLP-\d{3}", text)]


def in_words(node: ast.expr) -> str:
    """Return an expression of text as a reader sees it.

    Example:
        >>> in_words(ast.parse("f'{self.folder} holds ' + (a if b else 'none')").body[0].value)
        '{folder} holds {a} / none'
    """
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return _joined(node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return in_words(node.left) + in_words(node.right)
    if isinstance(node, ast.IfExp):
        return f"{in_words(node.body)} / {in_words(node.orelse)}"
    return _placeholder(node)


def _joined(parts: Iterable[ast.expr]) -> str:
    return "".join(
        _placeholder(part.value) if isinstance(part, ast.FormattedValue) else in_words(part)
        for part in parts
    )


def _placeholder(node: ast.expr) -> str:
    """Return what stands for a part that varies: the name of what it is made of."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        return in_words(node)
    if isinstance(node, ast.IfExp):
        one, other = in_words(node.body), in_words(node.orelse)
        return f"{one} / {other}" if one and other else f"({one}{other})"
    if isinstance(node, ast.Call) and node.args:
        # What is nearest to a name is another one.
        is_other = "nearest" in ast.unparse(node.func)
        return "{nearest}" if is_other else _placeholder(node.args[0])
    if isinstance(node, ast.Name):
        return f"{{{node.id.strip('_').lower()}}}"
    if isinstance(node, ast.Attribute):
        # type(x).__name__
        return f"{{{node.attr}}}" if not node.attr.startswith("__") else "{type}"
    return UNNAMED
