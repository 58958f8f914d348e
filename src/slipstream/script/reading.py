"""What a script uses, read from its source: whether another backend could run it as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

# Of TensorFlow, what means the same whichever backend Keras runs on.
NEUTRAL = (
    "keras", "data", "config", "random", "get_logger", "newaxis", "version", "__version__", "bool",
    "string", "float16", "float32", "float64", "half", "double", "bfloat16",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "complex64", "complex128",
)  # fmt: skip
# `tf.random` holds more than the seed.
NEUTRAL_PARTS = {"random": frozenset({"set_seed"}), "data": None, "keras": None}
TIED_PACKAGES = {
    "torch": "PyTorch", "torchvision": "PyTorch", "lightning": "PyTorch", "transformers": "PyTorch",
    "jax": "JAX", "jaxlib": "JAX", "flax": "JAX", "optax": "JAX",
    "tf_keras": "Keras 2", "tensorflow_addons": "TensorFlow", "tensorflow_hub": "TensorFlow",
    "tensorflow_probability": "TensorFlow", "tensorflow_text": "TensorFlow",
}  # fmt: skip
TIED_CALLS = {
    "numpy": "calls .numpy(), which not every backend's tensors have",
    "export": "calls .export(), whose formats differ from backend to backend",
}
TIED_LAYERS = {
    "TFSMLayer": "TensorFlow",
    "TorchModuleWrapper": "PyTorch",
    "JaxLayer": "JAX",
    "FlaxLayer": "JAX",
}
TIED_METHODS = ("train_step", "test_step")
IMPORTERS = ("__import__", "import_module")


@dataclass(frozen=True)
class Reading:
    """What was read.

    Args:
        tie: Why the script stays on its own backend, in words, with the place; "" if nothing ties.
        files: The script and the modules of its folder that it imports.
        uses_keras: Whether any of them imports Keras.
    """

    tie: str
    files: tuple[Path, ...]
    uses_keras: bool


def read(script: Path) -> Reading:
    """Read a script and, as far as its folder holds them, the modules that it imports.

    Args:
        script: The script.

    Returns:
        What ties it to its backend, first come, and what was read.
    """
    folder = script.resolve().parent
    waiting, seen = [script.resolve()], dict[Path, None]()
    tie, uses_keras = "", False
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        seen[file] = None
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            tie = tie or f"{file.name} cannot be read as Python"
            continue
        source = _Source(tree, file, folder)
        tie = tie or next((f"{file.name}, line {line}: {why}" for line, why in source.ties()), "")
        uses_keras = uses_keras or source.uses_keras()
        waiting += source.neighbours()
    return Reading(tie, tuple(seen), uses_keras)


@final
class _Source:
    """One file: its imports and the names under which TensorFlow goes in it."""

    def __init__(self, tree: ast.Module, file: Path, folder: Path) -> None:
        self._file = file
        self._folder = folder
        self._nodes = list(ast.walk(tree))
        self._imports = list(_imports(self._nodes))
        self._aliases = {
            alias.asname or alias.name.split(".")[0]
            for node in self._nodes
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name.split(".")[0] == "tensorflow" and not (alias.asname and "." in alias.name)
        }

    def uses_keras(self) -> bool:
        """Return whether Keras is imported, or reached through TensorFlow."""
        direct = any(
            name.split(".")[0] == "keras" or name.startswith("tensorflow.keras")
            for _, name in self._imports
        )
        return direct or any("keras" in chain[1:2] for _, chain in self._chains())

    def ties(self) -> Iterator[tuple[int, str]]:
        """Yield line and reason of whatever only one backend can run, in the file's order."""
        found = [*self._tied_imports(), *self._tied_names(), *self._tied_nodes()]
        yield from sorted(found)

    def neighbours(self) -> list[Path]:
        """Return the modules of the script's folder that are imported here."""
        found = []
        for node in self._nodes:
            if isinstance(node, ast.Import):
                found += [path for a in node.names for path in self._files(self._folder, a.name)]
            elif isinstance(node, ast.ImportFrom):
                base = self._folder
                if node.level:
                    base = self._file.parents[min(node.level, len(self._file.parents)) - 1]
                start = node.module or ""
                for alias in node.names:
                    found += self._files(base, f"{start}.{alias.name}".strip("."))
        return found

    def _files(self, base: Path, dotted: str) -> Iterator[Path]:
        place = base
        for part in dotted.split("."):
            place = place / part
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file():
                    yield file.resolve()

    def _tied_imports(self) -> Iterator[tuple[int, str]]:
        for line, name in self._imports:
            top, *rest = name.split(".")
            if top in TIED_PACKAGES and not any(self._files(self._folder, top)):
                yield line, f"imports {top}, which is {TIED_PACKAGES[top]}'s"
            elif rest and rest[-1] in TIED_LAYERS:
                yield line, f"imports {rest[-1]}, which is {TIED_LAYERS[rest[-1]]}'s"
            elif name.startswith("keras.distribution"):
                yield line, "uses keras.distribution, which not every backend has"
            elif top == "tensorflow" and rest and not _is_neutral(rest):
                yield line, f"imports {name}"

    def _tied_names(self) -> Iterator[tuple[int, str]]:
        for line, chain in self._chains():
            if len(chain) == 1:
                yield line, f"hands {chain[0]} about as a value"
            elif not _is_neutral(chain[1:]):
                yield line, f"uses {'.'.join(chain[:3])}"

    def _tied_nodes(self) -> Iterator[tuple[int, str]]:
        for node in self._nodes:
            if isinstance(node, ast.FunctionDef) and node.name in TIED_METHODS:
                yield node.lineno, f"has a {node.name} of its own, written for one backend"
            elif isinstance(node, ast.Attribute):
                yield from _tied_attribute(node)
            elif isinstance(node, ast.Call):
                yield from _tied_call(node)

    def _chains(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield every use of TensorFlow's name with what hangs on it: ("tf", "data", "Dataset")."""
        inner = {id(node.value): node for node in self._nodes if isinstance(node, ast.Attribute)}
        for node in self._nodes:
            if isinstance(node, ast.Name) and node.id in self._aliases:
                chain, at = [node.id], inner.get(id(node))
                while at is not None:
                    chain.append(at.attr)
                    at = inner.get(id(at))
                yield node.lineno, tuple(chain)


def _tied_attribute(node: ast.Attribute) -> Iterator[tuple[int, str]]:
    if node.attr in TIED_LAYERS:
        yield node.lineno, f"uses {node.attr}, which is {TIED_LAYERS[node.attr]}'s"
    elif node.attr == "distribution" and _last_name(node.value) == "keras":
        yield node.lineno, "uses keras.distribution, which not every backend has"


def _tied_call(node: ast.Call) -> Iterator[tuple[int, str]]:
    name = _last_name(node.func)
    if isinstance(node.func, ast.Attribute) and name in TIED_CALLS:
        yield node.lineno, TIED_CALLS[name]
    elif name in IMPORTERS and not (node.args and isinstance(node.args[0], ast.Constant)):
        yield node.lineno, "imports a module by a name that is known only later"


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that is imported from elsewhere."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _imported_by_name(node)) is not None:
            yield node.lineno, name


def _imported_by_name(node: ast.Call) -> str | None:
    if _last_name(node.func) in IMPORTERS and node.args:
        first = node.args[0]
        return str(first.value) if isinstance(first, ast.Constant) else None
    return None


def _is_neutral(parts: list[str] | tuple[str, ...]) -> bool:
    first, second = parts[0], parts[1] if len(parts) > 1 else None
    allowed = NEUTRAL_PARTS.get(first)
    return first in NEUTRAL and (allowed is None or second in allowed)


def _last_name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))
