"""The folder of a handed-over task: task.json, model.keras, arrays.npz; written whole or not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from slipstream.data.keras_files import why_not_model
from slipstream.data.npz import read_npz
from slipstream.data.splits import Array, Data, Split, to_data
from slipstream.errors import TaskError
from slipstream.files import put_in_place, read_text
from slipstream.record import write_json
from slipstream.tasks._arrays import unpack
from slipstream.tasks._compiled import WRITE_A_FILE, as_in_a_fresh_process

TASK_FILE = "task.json"
MODEL_FILE = "model.keras"
ARRAYS_FILE = "arrays.npz"
VERSION = 1


class Description(BaseModel):
    """What task.json holds beside the digests of the other files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    loss: Any
    metrics: Any
    loss_weights: Any
    monitor: str
    target: float | None
    plan: dict[str, dict[str, Any]]
    splits: dict[str, Any]
    notes: tuple[str, ...]


class TaskFile(BaseModel):
    """task.json. It is written last: a folder that has it is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    description: Description
    digests: dict[str, str]


def write_folder(
    folder: Path, model: Any, arrays: dict[str, Array], description: Description
) -> None:
    """Write the folder; raises TaskError when it cannot be written, or the model not saved."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Until the new one stands the folder is no task: its files would not go together.
        (folder / TASK_FILE).unlink(missing_ok=True)
        digests = {
            MODEL_FILE: _replace_file(folder / MODEL_FILE, partial(_save_model, model)),
            ARRAYS_FILE: _replace_file(folder / ARRAYS_FILE, partial(_save_arrays, arrays)),
        }
        task_file = TaskFile(version=VERSION, description=description, digests=digests)
        write_json(folder / TASK_FILE, task_file.model_dump(mode="json"))
    except OSError as error:
        raise TaskError(
            f"a folder that can be written to at {folder}",
            f"{type(error).__name__}: {error}",
            "Give another folder, or make room on the disk.",
            code="SLP-230",
        ) from None


def read_folder(folder: Path) -> TaskFile:
    """Read task.json; raises TaskError when the folder has none that can be read."""
    try:
        task_file = TaskFile.model_validate_json(read_text(folder / TASK_FILE))
    except FileNotFoundError:
        came = f"a folder without {TASK_FILE}"
    except (OSError, ValueError, ValidationError) as error:
        came = f"one whose {TASK_FILE} cannot be read ({type(error).__name__})"
    else:
        if task_file.version == VERSION:
            return task_file
        came = f"one of version {task_file.version}"
    raise TaskError(
        f"a folder that a task was handed over to at {folder}",
        came,
        "Name a Python file with a task, or hand the model and the arrays over again.",
        code="SLP-231",
    )


def load_model(folder: Path, digest: str) -> Any:
    """Return the model with the weights it was handed over with, uncompiled.

    Raises:
        TaskError: The file is another one, not as Keras writes it, or none that its safe mode
            loads.
    """
    import keras

    _check_digest(folder / MODEL_FILE, digest)
    _check_model(folder / MODEL_FILE)
    try:
        return keras.saving.load_model(folder / MODEL_FILE, compile=False, safe_mode=True)
    except Exception as error:  # What a model's file can make Keras raise has no common class.
        raise TaskError(
            f"a model that Keras loads in safe mode in {folder / MODEL_FILE}",
            _what_is_missing(error),
            "Load no model that you do not trust; hand your own over again.",
            code="SLP-243",
        ) from None


def load_data(folder: Path, digest: str, packed: dict[str, Any]) -> Data:
    """Return the arrays as data; a validation split that is missing is set apart."""
    _check_digest(folder / ARRAYS_FILE, digest)
    arrays = read_npz(folder / ARRAYS_FILE)
    try:
        splits = unpack_splits(packed, arrays)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise TaskError(
            f"splits in {folder / TASK_FILE} that name its arrays",
            f"{type(error).__name__}: {error}",
            "Hand the model and the arrays over again.",
            code="SLP-244",
        ) from None
    return to_data(splits)


def unpack_splits(packed: dict[str, Any], arrays: dict[str, Array]) -> dict[str, Split]:
    """Return the splits of a description."""
    return {
        name: Split(*(unpack(nest, arrays) for nest in nests)) for name, nests in packed.items()
    }


def _save_arrays(arrays: dict[str, Array], path: Path) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _save_model(model: Any, path: Path) -> None:
    import keras

    try:
        model.save(path)
        _check_model(path)
        with as_in_a_fresh_process():
            keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, TaskError):
        raise
    except Exception as error:  # Keras raises many kinds, a user's get_config any other.
        raise TaskError(
            "a model that a fresh process can rebuild: Keras' own layers, no lambdas",
            _what_is_missing(error),
            WRITE_A_FILE,
            code="SLP-229",
        ) from None


def _what_is_missing(error: Exception) -> str:
    # Keras wraps what it could not find in the whole configuration of the model.
    missing = re.search(r"Could not locate (class|function) '([^']+)'", str(error))
    if missing:
        return f"the {missing[1]} '{missing[2]}' of your own"
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0].removesuffix(".")[:300]


def _replace_file(path: Path, write: Callable[[Path], None]) -> str:
    """Write a file beside its place, sync it and rename it; returns its digest."""
    # Keras and NumPy look at the suffix.
    beside = path.with_name(f"part-{path.name}")
    # What is written would follow a link that somebody left there.
    beside.unlink(missing_ok=True)
    try:
        write(beside)
        digest = _digest(beside)
        put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return digest


def _check_model(path: Path) -> None:
    why = why_not_model(path)
    if why:
        raise TaskError(
            f"a model as Keras writes it in {path}",
            why,
            "Load no model that you do not trust; hand your own over again.",
            code="SLP-245",
        )


def _check_digest(path: Path, digest: str) -> None:
    if not path.is_file():
        came = "no such file"
    elif _digest(path) != digest:
        came = "another one, or a damaged one"
    else:
        return
    raise TaskError(
        f"the file that was handed over at {path}",
        came,
        "Hand the model and the arrays over again.",
        code="SLP-232",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
