"""What the package never does, held by reading its source; docs/security.md tells why."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream.export import eject
from slipstream.plan import Plan

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "slipstream"

# Calls that run what they are given, or start what a shell is told.
FORBIDDEN = (
    *("eval", "exec", "compile", "__import__", "execfile", "input"),
    *("os.system", "os.popen", "pty.spawn", "runpy.run_path", "runpy.run_module"),
    *("code.interact", "tempfile.mktemp", "shutil.unpack_archive", "shelve.open"),
    *("joblib.load", "numpy.frompyfunc", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle"),
    *("keras.config.enable_unsafe_deserialization", "webbrowser.open"),
)
FORBIDDEN_BEGINNINGS = ("os.exec", "os.spawn", "pickle.", "cloudpickle.", "marshal.", "dill.")
FORBIDDEN_ENDS = (".exec_module", ".extractall", ".extract", ".bind", ".listen", ".serve_forever")
FORBIDDEN_MODULES = ("socketserver", "http.server", "xmlrpc", "telnetlib", "ftplib", "imp", "code")
# Where a user's own code is run, which is what these are for.
DOORS = {
    "script.program": {"exec", "compile"},
    "tasks.by_value": {"pickle.loads", "pickle.dumps", "cloudpickle.dumps"},
    "tasks._user_code": {"spec.loader.exec_module"},
}


def complaints(source: str, module: str) -> list[str]:
    """Return a sentence for each thing in a source that is not done here."""
    tree = ast.parse(source)
    known = dict(_aliases(tree))
    found = [f"imports {name}" for name in known.values() if _is_forbidden_module(name)]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = _name(call.func, known)
        if name in DOORS.get(module, ()):
            continue
        if _is_forbidden(name) or _is_signature_bound(name):
            found.append(f"line {call.lineno} calls {name}")
        if why := _wrong_arguments(name, call):
            found.append(f"line {call.lineno} calls {name} {why}")
    return found


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what names stand for: {"np": "numpy", "loads": "pickle.loads"}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
                yield f"import {alias.name}", alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _name(node: ast.expr, known: dict[str, str]) -> str:
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{known.get(first, first)}{dot}{rest}"


def _is_forbidden_module(name: str) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in FORBIDDEN_MODULES)


def _is_forbidden(name: str) -> bool:
    if name.startswith("socket.") and name != "socket.gethostname":
        return True
    return name in FORBIDDEN or name.startswith(FORBIDDEN_BEGINNINGS)


def _is_signature_bound(name: str) -> bool:
    # inspect.signature(...).bind(...) binds arguments, not ports.
    return name.endswith(FORBIDDEN_ENDS) and "ignature" not in name


def _wrong_arguments(name: str, call: ast.Call) -> str:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if given.get("shell", "False") != "False":
        return "with a shell"
    if name.startswith("subprocess.") and _is_text(call):
        return "with a command in one text"
    if name.endswith("load_model") and "saving" in name and given.get("safe_mode") != "True":
        return "without safe_mode=True"
    if "safe_mode" in given and given["safe_mode"] != "True":
        return "without safe_mode=True"
    if name == "numpy.load" and given.get("allow_pickle") != "False":
        return "without allow_pickle=False"
    if name == "torch.load" and given.get("weights_only") != "True":
        return "without weights_only=True"
    return ""


def _is_text(call: ast.Call) -> bool:
    command = call.args[0] if call.args else None
    return isinstance(command, ast.Constant | ast.JoinedStr | ast.BinOp)


def test_the_package_runs_no_code_and_opens_no_port():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found += [f"{module}: {why}" for why in complaints(path.read_text("utf-8"), module)]
    assert found == []


def test_neither_does_a_script_that_it_writes():
    assert complaints(eject(Plan(), "digits"), "script") == []


def test_the_doors_are_where_they_are_said_to_be():
    for module, names in DOORS.items():
        source = (SOURCE / f"{module.replace('.', '/')}.py").read_text("utf-8")
        found = " ".join(complaints(source, "elsewhere"))
        assert all(name in found for name in names), module


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(open('x').read())",
        "import os\nos.system('x')",
        "from os import system as run\nrun('x')",
        "import subprocess\nsubprocess.run(['x'], shell=True)",
        "import subprocess\nsubprocess.run(f'rm {x}')",
        "from subprocess import Popen\nPopen('x y')",
        "def f():\n    import pickle\n    pickle.load(x)",
        "from pickle import loads\nloads(x)",
        "import cloudpickle as c\nc.loads(x)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x')",
        "import keras\nkeras.saving.load_model('x')",
        "import keras\nkeras.saving.load_model('x', safe_mode=False)",
        "from keras.saving import load_model\nload_model('x')",
        "import keras\nkeras.saving.deserialize_keras_object(x, safe_mode=False)",
        "import keras\nkeras.config.enable_unsafe_deserialization()",
        "import socket\nsocket.socket()",
        "server.bind(('0.0.0.0', 80))",
        "import http.server",
        "from http.server import HTTPServer",
        "import zipfile\nzipfile.ZipFile('x').extractall()",
        "import tempfile\ntempfile.mktemp()",
        "spec.loader.exec_module(module)",
    ],
)
def test_what_is_not_done_is_found(source):
    assert len(complaints(source, "elsewhere")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile('x')",
        "model.compile(loss='mse')",
        "import subprocess\nsubprocess.Popen(list(command))",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import keras\nkeras.saving.load_model('x', compile=False, safe_mode=True)",
        "import socket\nsocket.gethostname()",
        "signature.bind(*args)",
        "inspect.signature(f).bind(x)",
    ],
)
def test_what_is_done_is_left_alone(source):
    assert complaints(source, "elsewhere") == []


def test_dependencies_begin_above_known_holes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra)]
    bounds = {}
    for one in wanted:
        match = re.match(r"([\w-]+)>=([\d.]+)", one)
        if match:
            bounds[match[1].lower()] = tuple(map(int, match[2].split(".")))
    for name, least in {
        # Safe mode that could be left, files that made it allocate; torch.load of weights alone.
        "keras": (3, 15, 1),
        "torch": (2, 10),
        # Writing beyond buffers in decoders; a sandbox that could be left; freed memory in files.
        "pillow": (12, 1, 1),
        "jinja2": (3, 1, 6),
        "pyarrow": (23, 0, 1),
        # What HDF5 believes of a damaged file.
        "h5py": (3, 14),
    }.items():
        assert bounds[name] >= least, name
    assert all(">=" in one or "[" in one for one in wanted if one != "scipy-stubs")
