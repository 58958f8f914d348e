"""A task as source code: what its model and data need, and nothing of Slipstream."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipstream.errors import TaskError

# What stands in a script for the few classes of Slipstream that tasks use.
STAND_INS: Mapping[str, str] = {
    "Split": '''
@dataclass(frozen=True)
class Split:
    """Inputs and targets of one split."""

    x: Any
    y: Any
    sample_weight: Any = None
    rows: Any = None
''',
    "Data": '''
@dataclass(frozen=True)
class Data:
    """The three splits of a data set."""

    train: Split
    validation: Split
    test: Split | None = None
''',
    "DataError": '''
class DataError(Exception):
    """Data that cannot be trained on: what was expected, what came, how to mend it."""
''',
}
STAND_IN_NEEDS: Mapping[str, tuple[str, ...]] = {
    "Split": ("from dataclasses import dataclass", "from typing import Any"),
    "Data": ("from dataclasses import dataclass",),
    "DataError": (),
}
TASK_KEYWORDS = ("model", "data", "loss", "metrics", "loss_weights")


@dataclass(frozen=True)
class TaskSource:
    """Imports and definitions of a task, and how it names its parts.

    `expressions` are the arguments of Task(...) as the task's author wrote them, by keyword;
    `names` is what the definitions bind; `folder` is where their neighbours lie, if they need any;
    `loads_model` says that the model comes from a file, with settings of its own.
    """

    imports: tuple[str, ...]
    definitions: str
    expressions: Mapping[str, str]
    names: frozenset[str]
    folder: str | None
    loads_model: bool = False


@dataclass
class _Collected:
    """What the walk through the modules has gathered; a key stands for one definition."""

    imports: set[str] = field(default_factory=set)
    blocks: dict[str, str] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Module:
    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def is_ours(self) -> bool:
        return self.name == "slipstream" or self.name.startswith("slipstream.")


def task_source(path: Path, module_name: str, name: str | None) -> TaskSource:
    """Take the source of a task out of its module.

    Args:
        path: The file that defines the task.
        module_name: Its dotted name; anything for a file that is not imported by name.
        name: The name the task is bound to, or None for the only Task(...) there.

    Raises:
        TaskError: The task is not written as NAME = Task(...), or needs a part of Slipstream
            that has no plain form.
    """
    module = _read(path, module_name)
    call = _task_call(module, name)
    expressions = {
        keyword.arg: _segment(module, keyword.value)
        for keyword in call.keywords
        if keyword.arg in TASK_KEYWORDS
    }
    collected = _Collected()
    for keyword in call.keywords:
        if keyword.arg in TASK_KEYWORDS:
            _collect_names(module, keyword.value, collected)
    if not module.is_ours:
        _collect_side_effects(module, collected)
    definitions = "\n\n\n".join(_tidy(collected.blocks))
    return TaskSource(
        imports=tuple(sorted(collected.imports)),
        definitions=definitions,
        expressions={key: _without_door(text) for key, text in expressions.items()},
        names=frozenset(collected.bound),
        folder=None if module.is_ours else _folder_of_neighbours(module),
    )


def _read(path: Path, name: str) -> _Module:
    text = path.read_text(encoding="utf-8")
    return _Module(name, path, text, ast.parse(text))


def _task_call(module: _Module, name: str | None) -> ast.Call:
    calls: dict[str, ast.Call] = {}
    for node in module.tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call):
            called = ast.unparse(value.func)
            if called == "Task" or called.endswith(".Task"):
                for bound in _bound_names(node):
                    calls[bound] = value
    if name is None:
        name = next((usual for usual in ("task", "TASK") if usual in calls), None)
        name = next(iter(calls)) if name is None and len(calls) == 1 else name
    if name is None or name not in calls:
        raise TaskError(
            f"a task written as {name or 'task'} = Task(...) at the top level of {module.path}",
            "a task that is made in another way",
            "Write it so; a script is made from its source.",
            code="SLP-812",
        )
    return calls[name]


def _collect_names(module: _Module, node: ast.AST, collected: _Collected) -> None:
    """Collect the definition of every name that a piece of source loads."""
    for name in _loaded_names(node):
        _collect(module, name, collected)


def _collect(module: _Module, name: str, collected: _Collected) -> None:
    door, _, behind = name.partition(".")
    if behind:
        if behind not in STAND_INS:
            raise _no_plain_form(module, name)
        _collect_ours(door, behind, collected)
        return
    statement = _binding(module, name)
    if statement is None:
        return  # A built-in, or a local name.
    if isinstance(statement, ast.Import | ast.ImportFrom):
        _collect_import(module, statement, name, collected)
        return
    key = f"{module.path}:{statement.lineno}"
    if key in collected.blocks:
        return
    text = _without_door(_with_comments(module, statement))
    for bound in _bound_names(statement):
        _refuse_two_meanings(bound, text, collected)
    collected.blocks[key] = ""  # Keeps a function that calls itself from going round in circles.
    _collect_names(module, statement, collected)
    # What a definition needs stands before it.
    del collected.blocks[key]
    collected.blocks[key] = text


def _collect_import(
    module: _Module, statement: ast.Import | ast.ImportFrom, name: str, collected: _Collected
) -> None:
    alias = next(a for a in statement.names if (a.asname or a.name.partition(".")[0]) == name)
    renamed = f" as {alias.asname}" if alias.asname else ""
    if isinstance(statement, ast.Import):
        if alias.name.partition(".")[0] != "slipstream":
            collected.imports.add(f"import {alias.name}{renamed}")
            collected.bound.setdefault(name, alias.name)
        return
    source = _absolute_module(module, statement)
    if source.partition(".")[0] == "slipstream":
        if alias.asname:
            raise _no_plain_form(module, f"{alias.name} as {alias.asname}")
        _collect_ours(source, alias.name, collected)
        return
    collected.imports.add(f"from {source} import {alias.name}{renamed}")
    collected.bound.setdefault(name, source)


def _collect_ours(source: str, name: str, collected: _Collected) -> None:
    """Write out what a task takes from Slipstream: a stand-in, or the helper's own source."""
    if name in STAND_INS:
        if name == "Data":
            _collect_ours(source, "Split", collected)
        collected.imports.update(STAND_IN_NEEDS[name])
        _refuse_two_meanings(name, STAND_INS[name], collected)
        collected.blocks.setdefault(f"stand-in:{name}", STAND_INS[name].strip())
        return
    spec = importlib.util.find_spec(source)
    assert spec is not None and spec.origin is not None
    module = _read(Path(spec.origin), source)
    if _binding(module, name) is None:
        raise _no_plain_form(module, f"{source}.{name}")
    _collect(module, name, collected)


def _collect_side_effects(module: _Module, collected: _Collected) -> None:
    """Keep a user's top-level statements that bind nothing, like a setting or a registration."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            collected.imports.add(ast.unparse(node))
            continue
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or _bound_names(node) or _is_main_guard(node):
            continue
        _collect_names(module, node, collected)
        text = _without_door(_with_comments(module, node))
        collected.blocks.setdefault(f"{module.path}:{node.lineno}", text)


def _binding(module: _Module, name: str) -> ast.stmt | None:
    return next((node for node in module.tree.body if name in _bound_names(node)), None)


def _bound_names(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return tuple(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    stored = (
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
    )
    nested = (
        child.name for child in ast.walk(node) if isinstance(child, ast.FunctionDef | ast.ClassDef)
    )
    return tuple(dict.fromkeys([*stored, *nested]))


def _loaded_names(node: ast.AST) -> Iterator[str]:
    names = (
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)
    )
    yield from dict.fromkeys(names)
    # slipstream.Data: the class is taken, the door is not.
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and ast.unparse(child.value) == "slipstream":
            yield f"slipstream.{child.attr}"


def _absolute_module(module: _Module, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    package = module.name.rsplit(".", statement.level)[0]
    return f"{package}.{statement.module}" if statement.module else package


def _refuse_two_meanings(name: str, text: str, collected: _Collected) -> None:
    if collected.bound.setdefault(name, text) != text:
        raise TaskError(
            "a task whose helpers have names of their own",
            f"two different definitions of {name}",
            "Rename one of them; a script has one place for names.",
            code="SLP-813",
        )


def _no_plain_form(module: _Module, what: str) -> TaskError:
    return TaskError(
        f"a task in {module.path} that stands without Slipstream",
        f"a use of {what}",
        "Only Task, Data, Split and DataError can be written without it.",
        code="SLP-814",
    )


def _with_comments(module: _Module, node: ast.stmt) -> str:
    """Return a statement's source with its decorators and the comments right above it."""
    lines = module.text.splitlines()
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


def _segment(module: _Module, node: ast.expr) -> str:
    text = ast.get_source_segment(module.text, node)
    assert text is not None
    # Inside brackets, lines may break anywhere; outside they may not.
    return f"({text})" if "\n" in text and text[0] not in "[({" else text


def _tidy(blocks: Mapping[str, str]) -> Iterator[str]:
    """Yield the blocks; one-line constants that follow each other stand together."""
    lines: list[str] = []
    for text in blocks.values():
        is_constant = not re.match(r"(?:#.*\n)*(?:@|def |class |async )", text)
        if is_constant:
            lines.append(text)
            continue
        if lines:
            yield "\n".join(lines)
            lines = []
        yield text
    if lines:
        yield "\n".join(lines)


def _without_door(text: str) -> str:
    return re.sub(r"\bslipstream\.(?=(?:Data|Split|DataError)\b)", "", text)


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _folder_of_neighbours(module: _Module) -> str | None:
    """Return the module's folder when it imports a file beside it."""
    imported = {
        name.partition(".")[0]
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    folder = module.path.parent
    beside = (name for name in imported if name and name != module.path.stem)
    found = any((folder / f"{n}.py").exists() or (folder / n).is_dir() for n in beside)
    return str(folder) if found else None
