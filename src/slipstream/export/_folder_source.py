"""A handed-over folder as source: load the model and the arrays that lie in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipstream.data.splits import Data
from slipstream.export._objects import literal
from slipstream.export._task_source import TaskSource
from slipstream.task import Task
from slipstream.tasks._folder import ARRAYS_FILE, MODEL_FILE, read_folder

DEFINITIONS = '''
# The model with the weights it was handed over with, and the arrays.
FOLDER = Path({folder})


def load_model() -> keras.Model:
    """Return the model, uncompiled."""
    return keras.saving.load_model(FOLDER / "{model_file}", compile=False, safe_mode=True)


def load_data():
    """Return inputs, targets and perhaps weights of each split."""
    with np.load(FOLDER / "{arrays_file}", allow_pickle=False) as arrays:
        return {{
{splits}
        }}
'''


def folder_source(folder: Path, task: Task) -> TaskSource:
    """Return the source of a task that was handed over as a folder.

    Raises:
        TaskError: The folder is no such folder.
    """
    packed = read_folder(folder).description.splits
    splits = "\n".join(
        f"            {literal(name)}: ({', '.join(_source(nest) for nest in _present(nests))}),"
        for name, nests in packed.items()
    )
    definitions = DEFINITIONS.format(
        folder=literal(str(folder.resolve())),
        model_file=MODEL_FILE,
        arrays_file=ARRAYS_FILE,
        splits=splits,
    )
    expressions = {"model": "load_model", "data": "load_data", "loss": "", "metrics": ""}
    if task.loss_weights is not None:
        expressions["loss_weights"] = literal(task.loss_weights)
    return TaskSource(
        imports=("from pathlib import Path",),
        definitions=definitions.strip(),
        expressions=expressions,
        names=frozenset({"FOLDER", "load_model", "load_data"}),
        folder=None,
        loads_model=True,
    )


def folder_data(folder: Path, data: Data) -> dict[str, tuple[Any, ...]]:
    """Return the data in the form in which the script's own `load_data` has them."""
    present = read_folder(folder).description.splits
    return {
        name: tuple(_present(list(getattr(data, name).parts())))
        for name in ("train", "validation", "test")
        if name in present
    }


def _present(nests: list[Any]) -> list[Any]:
    return [nest for nest in nests if nest is not None]


def _source(packed: Any) -> str:
    if packed is None:
        return "None"
    if "dict" in packed:
        parts = (f"{literal(key)}: {_source(part)}" for key, part in packed["dict"].items())
        return "{" + ", ".join(parts) + "}"
    if "tuple" in packed:
        return "(" + "".join(f"{_source(part)}, " for part in packed["tuple"]).rstrip() + ")"
    return f"arrays[{literal(packed['array'])}]"
