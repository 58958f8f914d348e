"""A compiled model and arrays, handed over as a folder from which any process rebuilds the task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.data.splits import Array, Split, check_equal_lengths, to_data
from slipstream.errors import TaskError
from slipstream.plan import Plan
from slipstream.task import Task
from slipstream.tasks._arrays import pack
from slipstream.tasks._as_given import plan_as_given
from slipstream.tasks._compiled import WRITE_A_FILE, read_compiled
from slipstream.tasks._folder import (
    ARRAYS_FILE,
    MODEL_FILE,
    Description,
    load_data,
    load_model,
    read_folder,
    unpack_splits,
    write_folder,
)


def hand_over(
    model: Any,
    x: Any,
    y: Any,
    *,
    validation_data: Any = None,
    sample_weight: Any = None,
    folder: str | Path,
    target: float | None = None,
    monitor: str | None = None,
    batch_size: int = 32,
    epochs: int = 20,
) -> Path:
    """Write a compiled Keras model and arrays as a folder; the folder is a task's reference.

    The model keeps its current weights: every training of the task begins with them.

    Args:
        model: A compiled Keras model, made of Keras' own layers, loss and metrics.
        x: Inputs as fit takes them: an array of shape (N, ...), or a tuple or dict of arrays.
        y: Targets, in the same forms.
        validation_data: (x, y) or (x, y, sample_weight); without it a fixed fifth is set apart.
        sample_weight: Weights of shape (N,), or None.
        folder: Where to write; the files of an earlier hand-over are replaced.
        target: The value of the monitor that ends the race, or None.
        monitor: The validation metric to watch; without it val_accuracy where the model was
            compiled with an accuracy, else val_loss.
        batch_size: As it would be given to fit.
        epochs: As it would be given to fit.

    Returns:
        The folder. `read_notes` of it tells what of the model's compilation a plan cannot say.

    Raises:
        TaskError: The model is not compiled, or a fresh process could not rebuild it.
        DataError: The arrays are of different lengths, or hold no numbers.
        PlanError: A value of the optimizer is out of range.
    """
    folder = Path(folder).expanduser()
    arrays: dict[str, Array] = {}
    packed = _pack_splits(x, y, sample_weight, validation_data, arrays)
    splits = _checked(packed, arrays)
    compiled, judges = read_compiled(model, weighted=sample_weight is not None)
    train = to_data(splits).train
    _build(model, train)
    plan, notes = plan_as_given(
        compiled, num_examples=train.num_examples, batch_size=batch_size, epochs=epochs
    )
    description = Description(
        name=model.name,
        loss=judges.loss,
        metrics=judges.metrics,
        loss_weights=judges.loss_weights,
        monitor=monitor or judges.default_monitor(_num_outputs(model)),
        target=target,
        plan=plan.to_dict(),
        splits=packed,
        notes=judges.notes + notes + _more_notes(model, validation_data),
    )
    # What is wrong with these values is said now, not in a fresh process.
    _to_task(description, model=lambda: model, data=lambda: splits)
    write_folder(folder, model, arrays, description)
    return folder


def _checked(packed: dict[str, Any], arrays: dict[str, Array]) -> dict[str, Split]:
    splits = unpack_splits(packed, arrays)
    for name, split in splits.items():
        check_equal_lengths(split, name)
    return splits


def _build(model: Any, train: Split) -> None:
    if not model.built:
        model(train.take(np.arange(min(2, train.num_examples))).x)


def _num_outputs(model: Any) -> int:
    return len(getattr(model, "outputs", None) or [None])


def _more_notes(model: Any, validation_data: Any) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if int(model.optimizer.iterations) > 0:
        notes += ("The model has been trained: its weights go along, the optimizer's state not.",)
    if validation_data is None:
        notes += ("No validation data were given: a fixed fifth of the examples is set apart.",)
    return notes


def task_from_folder(folder: Path) -> Task:
    """Return the task in a folder that `hand_over` wrote.

    Its model function loads the model with the weights it was handed over with, uncompiled, by
    Keras' safe mode: nothing in the file is executed.

    Raises:
        TaskError: The folder is no such folder.
    """
    task_file = read_folder(folder)
    digests, description = task_file.digests, task_file.description
    return _to_task(
        description,
        model=_bound(load_model, folder, digests.get(MODEL_FILE, "")),
        data=_bound(load_data, folder, digests.get(ARRAYS_FILE, ""), description.splits),
    )


def read_notes(folder: Path) -> tuple[str, ...]:
    """Return a sentence for everything in how the model was compiled that its plan cannot say."""
    return read_folder(folder).description.notes


def _bound(load: Callable[..., Any], folder: Path, digest: str, *rest: Any) -> Callable[[], Any]:
    bound = partial(load, folder, digest, *rest)
    # What a fingerprint takes where there is no source: another model is another task.
    vars(bound)["__qualname__"] = f"{load.__name__} {digest}"
    return bound


def _to_task(description: Description, model: Any, data: Any) -> Task:
    return Task(
        name=description.name,
        model=model,
        data=data,
        loss=description.loss,
        metrics=description.metrics,
        monitor=description.monitor,
        target=description.target,
        loss_weights=description.loss_weights,
        plan=Plan.from_dict(description.plan),
    )


def _pack_splits(
    x: Any, y: Any, sample_weight: Any, validation_data: Any, arrays: dict[str, Array]
) -> dict[str, Any]:
    if y is None:
        came = f"x of type {type(x).__name__} and no y"
        raise TaskError("arrays x and y", came, WRITE_A_FILE, code="SLP-226")
    given = {"train": (x, y, sample_weight)}
    if validation_data is not None:
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise TaskError(
                "validation_data=(x, y) or (x, y, sample_weight)",
                f"a {type(validation_data).__name__}",
                "Give a tuple of arrays.",
                code="SLP-227",
            )
        given["validation"] = (*validation_data, None)[:3]
    return {
        name: [
            pack(nest, f"{part} of the {name} split", arrays)
            for part, nest in zip(("x", "y", "sample_weight"), nests, strict=True)
        ]
        for name, nests in given.items()
    }
