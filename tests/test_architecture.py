"""Which way imports point, held by reading them. The table below is the whole design."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "slipstream"

# A room is a file or a folder of the package; `measure` is the manager's side of that folder.
# Each may import itself and what stands behind it. Rooms that do not exist yet may stand here.
MAY_IMPORT: dict[str, str] = {
    "errors": "",
    "_version": "",
    "files": "",
    "better": "",
    "plan": "errors files",
    "task": "errors plan better",
    "record": "errors files better",
    "environment": "record errors",
    "loss_surface": "record errors files",
    "checkpoint": "errors files",
    "signals": "record better",
    "progress": "errors",
    "data": "errors files",
    "ops": "errors plan",
    "backends": "errors data",
    "rewrite": "errors ops plan",
    "lowering": "errors backends",
    "techniques": "errors plan task record verdict",
    "tasks": "errors files plan task data record checkpoint",
    "verdict": "errors record",
    "report": "errors files plan record verdict loss_surface",
    "doctor": "errors plan task record data",
    "messages": "errors doctor",
    "pages": "doctor messages techniques",
    "engine": "errors files better plan task record environment data ops rewrite lowering backends"
    " loss_surface signals checkpoint",
    "observers": "errors plan record engine signals",
    "measure": "errors plan task record environment loss_surface",
    "measure.worker": "errors plan task record environment data tasks doctor engine observers"
    " measure checkpoint",
    "tuning": "errors files checkpoint plan task record progress techniques measure verdict",
    "ablation": "errors plan task record progress techniques measure verdict",
    "__main__": "",
}
# These may import every room but the last of them; nothing imports that one but `__main__`.
DOORS = ("__init__", "commands", "script", "export", "cli")
CLI = "cli"
MAIN = "__main__"

# The files of these rooms do not know each other; what they share stands in files with a "_".
NO_SIDEWAYS = ("techniques", "lowering", "backends", "observers", "doctor")
# This stands beside the techniques and tells of all of them; it is none.
TELLERS = ("slipstream.techniques.explain",)

FRAMEWORKS = ("tensorflow", "jax", "jaxlib", "torch")
FRAMEWORK_ROOMS = ("backends", "lowering")
KERAS_ROOMS = (*FRAMEWORK_ROOMS, "ops", "rewrite", "engine", "observers")
# Here Keras is imported by functions alone, so that the module can be imported without it.
KERAS_IN_FUNCTIONS = ("tasks", "measure.worker", "script", "export")
WITHOUT_KERAS = (
    "errors", "files", "better", "plan", "task", "record", "environment", "progress", "data",
    "techniques", "tasks", "loss_surface", "signals", "checkpoint",
    "verdict", "report", "doctor", "messages", "pages", "measure", "tuning", "ablation", "export",
    "commands", "cli",
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported name, dotted and absolute, and whether importing the module imports it."""

    target: str
    at_import: bool


def room_of(module: str) -> str:
    """Return the room of "slipstream.plan.toml": "plan"."""
    parts = module.split(".")[1:] or ["__init__"]
    return "measure.worker" if parts[:2] == ["measure", "worker"] else parts[0]


def imports(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Yield every import of a source text, in functions and under TYPE_CHECKING too."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    yield from _walk(ast.parse(source), package, at_import=True)


def _walk(node: ast.AST, package: list[str], at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            start = ".".join([*base, *(child.module or "").split(".")]).strip(".")
            yield from (Import(f"{start}.{alias.name}", at_import) for alias in child.names)
        elif isinstance(child, ast.Call) and _is_import_by_name(child):
            yield Import(child.args[0].value, at_import)  # type: ignore[attr-defined]
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from _walk(ast.Module(child.body, []), package, at_import=False)
            yield from _walk(ast.Module(child.orelse, []), package, at_import)
            continue
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, package, at_import and not is_function)


def _is_import_by_name(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return (
        name in ("import_module", "__import__")
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and not call.args[0].value.startswith(".")
    )


def complaints(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return a sentence for each import that points the wrong way."""
    room = room_of(module)
    if room not in MAY_IMPORT and room not in DOORS:
        return [f"{module} stands in no room of the table"]
    return [
        f"{module} {complaint}"
        for entry in imports(source, module, is_package)
        if (complaint := _complaint(entry, module, room))
    ]


def _complaint(entry: Import, module: str, room: str) -> str:
    top = entry.target.split(".")[0]
    if top in FRAMEWORKS and room not in FRAMEWORK_ROOMS:
        return f"imports {top}"
    if top == "keras" and room not in KERAS_ROOMS:
        if room not in KERAS_IN_FUNCTIONS:
            return "imports keras"
        return "imports keras outside functions" if entry.at_import else ""
    if top != "slipstream":
        return ""
    other = room_of(entry.target)
    if other != room:
        return "" if _may_import(room, other) else f"imports {entry.target}"
    return "imports its neighbour " + entry.target if _is_sideways(entry, module, room) else ""


def _may_import(room: str, other: str) -> bool:
    if other in (CLI, "__init__"):
        return room == MAIN and other == CLI
    return room in DOORS or other in MAY_IMPORT[room].split() or other == "_version"


def _is_sideways(entry: Import, module: str, room: str) -> bool:
    parts, target = module.split("."), entry.target.split(".")
    if room not in NO_SIDEWAYS or module in TELLERS or len(parts) < 3 or parts[2].startswith("_"):
        return False
    # `from slipstream.techniques import get` goes through the door, which knows all neighbours.
    return len(target) > 2 and target[2] != parts[2] and not target[2].startswith("_")


def modules() -> dict[str, Path]:
    """Return every module of the package, by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("slipstream", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_every_import_points_the_right_way() -> None:
    wrong = [
        complaint
        for module, path in modules().items()
        for complaint in complaints(path.read_text("utf-8"), module, path.name == "__init__.py")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()

    def visit(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"{' -> '.join((*path, room))}"
        if room not in done:
            for other in MAY_IMPORT[room].split():
                visit(other, (*path, room))
        done.add(room)

    for room in MAY_IMPORT:
        visit(room, ())


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("plan.toml", "from slipstream.task import Task", "imports slipstream.task"),
        ("plan.toml", "from slipstream import task", "imports slipstream.task"),
        ("plan.toml", "import slipstream.engine.train as t", "imports slipstream.engine"),
        ("plan.toml", "def f():\n    from slipstream import engine", "imports slipstream.engine"),
        ("plan.toml", "from ..record import Record", "imports slipstream.record"),
        ("record", "from . import verdict", "imports slipstream.verdict"),
        ("verdict.judge", "from slipstream.data import Data", "imports slipstream.data"),
        ("export.eject", "from slipstream.cli import main", "imports slipstream.cli"),
        ("plan", "from slipstream import cli", "imports slipstream.cli"),
        ("measure.manager", "from slipstream.measure.worker import main", "measure.worker"),
        ("measure.manager", "from . import worker", "measure.worker"),
        ("measure.manager", "from slipstream import engine", "imports slipstream.engine"),
        ("techniques.warmup", "from slipstream.techniques.cosine import X", "its neighbour"),
        ("techniques.warmup", "from slipstream.techniques import get", "its neighbour"),
        ("doctor.one_unit", "from .batch_size import check", "its neighbour"),
        ("backends.jax", "from slipstream.backends import torch", "its neighbour"),
        ("engine.train", "import torch.nn", "imports torch"),
        ("engine.train", "def f():\n    import tensorflow as tf", "imports tensorflow"),
        ("data.order", "from jax import numpy", "imports jax"),
        ("data.order", "import importlib\nimportlib.import_module('jax.numpy')", "imports jax"),
        ("data.order", "import keras", "imports keras"),
        ("report._page", "def f():\n    import keras", "imports keras"),
        ("cli", "from keras import Model", "imports keras"),
        ("tasks.digits", "import keras", "keras outside functions"),
        ("tasks.digits", "class A:\n    import keras", "keras outside functions"),
        ("tasks.digits", "try:\n    import keras\nexcept ImportError: ...", "outside functions"),
        ("cellar.wine", "", "in no room"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, complaint: str) -> None:
    found = complaints(source, f"slipstream.{module}")
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plan.toml", "import json\nfrom slipstream.plan.parts import Batch"),
        ("plan.toml", "from .parts import Batch\nfrom ..errors import PlanError"),
        ("task", "from slipstream.plan import Plan"),
        ("techniques.warmup", "from slipstream.techniques._base import Technique"),
        ("backends.torch", "import torch\nimport keras"),
        ("tasks.digits", "def model():\n    import keras"),
        ("tasks.digits", "if TYPE_CHECKING:\n    import keras"),
        ("measure.worker", "def f():\n    from slipstream import doctor, engine\n    import keras"),
        ("cli", "from slipstream import engine, commands"),
        ("data.order", "import kerastuner, jaxtyping"),
    ],
)
def test_an_allowed_import_is_left_alone(module: str, source: str) -> None:
    assert complaints(source, f"slipstream.{module}") == []


# Imports one room after the other in one process and says what each brought in.
IMPORT_ROOMS = """
import importlib, json, sys
heavy, found = set(sys.argv[1].split(",")), {}
for room, modules in json.loads(sys.argv[2]).items():
    before = set(sys.modules)
    for module in modules:
        importlib.import_module(module)
    found[room] = sorted(heavy & (set(sys.modules) - before))
print(json.dumps(found))
"""


def _brought_in(rooms: dict[str, list[str]]) -> dict[str, list[str]]:
    heavy = ",".join((*FRAMEWORKS, "keras"))
    command = [sys.executable, "-c", IMPORT_ROOMS, heavy, json.dumps(rooms)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_the_public_door_imports_no_framework() -> None:
    assert _brought_in({"slipstream": ["slipstream"]}) == {"slipstream": []}


def test_keras_free_rooms_import_no_framework() -> None:
    rooms: dict[str, list[str]] = {}
    for module in modules():
        if room_of(module) in WITHOUT_KERAS and not module.endswith("__main__"):
            rooms.setdefault(room_of(module), []).append(module)
    assert rooms
    assert _brought_in(rooms) == {room: [] for room in rooms}


def test_the_look_into_processes_can_fail() -> None:
    heavy = json.dumps({"here": ["json"], "there": ["wave"]})
    command = [sys.executable, "-c", IMPORT_ROOMS, "wave", heavy]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(result.stdout) == {"here": [], "there": ["wave"]}
