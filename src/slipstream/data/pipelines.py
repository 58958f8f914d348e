"""Data that others' libraries hand out batch by batch: read once, then kept as examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from slipstream.data.nests import Arrays, leaves, map_arrays
from slipstream.data.spool import Collector
from slipstream.errors import DataError, InputError, line_of

# By the names of their classes: importing the libraries would take seconds.
KINDS: Mapping[tuple[str, str], str] = {
    ("tensorflow", "DatasetV2"): "tf.data.Dataset",
    ("grain", "MapDataset"): "grain.MapDataset",
    ("grain", "IterDataset"): "grain.IterDataset",
    ("grain", "DataLoader"): "grain.DataLoader",
    ("torch", "DataLoader"): "torch.utils.data.DataLoader",
    ("keras", "PyDataset"): "keras.utils.PyDataset",
}


def kind_of(value: Any) -> str:
    """Return what kind of pipeline a value is; "" where it is none.

    Example:
        >>> kind_of([1, 2])
        ''
    """
    for parent in type(value).__mro__:
        found = KINDS.get((parent.__module__.partition(".")[0], parent.__name__))
        if found is not None:
            return found
    return ""


def read_once(pipeline: Any) -> tuple[Arrays, Arrays, Arrays]:
    """Return inputs, targets and weights of all examples that one pass hands out.

    Afterwards they are shuffled, batched and repeated as the plan says: their own order and batch
    size do not count, and what they draw at random is drawn this once. Large ones go to a file.

    Args:
        pipeline: What `Model.fit` takes: it hands out batches (x, y) or (x, y, weight).

    Raises:
        DataError: It has no end, is empty, or hands out something else.
    """
    kind = kind_of(pipeline)
    _refuse_endless(pipeline, kind)
    collected: Any = None
    for number, batch in enumerate(_told_where(_batches(pipeline, kind), kind)):
        x, y, weight = _parts(batch, kind)
        arrays = map_arrays(_as_numpy, (x, y, weight))
        _refuse_single(arrays, kind)
        if collected is None:
            collected = map_arrays(lambda _: Collector(), arrays)
        _add(collected, arrays, f"batch {number} of the {kind}, counted from 0")
    if collected is None:
        raise DataError(
            f"batches from a {kind}", "none", "Check the filter that makes it.", code="SLP-317"
        )
    x, y, weight = map_arrays(lambda collector: collector.result(), collected)  # type: ignore[attr-defined]
    return x, y, weight


def _batches(pipeline: Any, kind: str) -> Iterator[Any]:
    if kind == "tf.data.Dataset":
        yield from pipeline.as_numpy_iterator()
    elif kind == "keras.utils.PyDataset":
        for index in range(len(pipeline)):
            yield pipeline[index]
    else:
        yield from pipeline


def _told_where(batches: Iterator[Any], kind: str) -> Iterator[Any]:
    """Yield batches; an error of whatever makes them says which one it was, and where."""
    number = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except InputError:
            raise
        except Exception as error:
            message = (str(error).strip().splitlines() or [""])[0].removesuffix(".")
            raise DataError(
                f"batch {number} of the {kind}, counted from 0",
                f"{type(error).__name__}: {message}{line_of(error)}",
                "Mend what makes this batch, or how many batches it says that it has.",
                code="SLP-316",
            ) from error
        yield batch
        number += 1


def _add(collected: Any, arrays: Arrays, where: str) -> None:
    """Put a batch to those before it, which it must be like."""
    collectors: list[Any] = list(leaves(collected))
    found: list[Any] = list(leaves(arrays))
    if len(collectors) != len(found):
        raise DataError(
            f"{len(collectors)} arrays in every batch, as in the first",
            f"{len(found)} in {where}",
            "Hand out inputs, targets and weights in one form.",
            code="SLP-316",
        )
    for collector, array in zip(collectors, found, strict=True):
        try:
            collector.add(array)
        except DataError as error:
            raise DataError(
                error.expected, f"{error.came} in {where}", error.mend, code=error.code
            ) from None


def _refuse_endless(pipeline: Any, kind: str) -> None:
    length: Any = None
    if kind == "tf.data.Dataset":
        # -1 is TensorFlow's name for no end.
        length = int(pipeline.cardinality())
    elif kind == "keras.utils.PyDataset":
        length = pipeline.num_batches
        length = -1 if length is None else length
    elif kind == "grain.MapDataset":
        length = len(pipeline)
        # Grain's length of what is repeated without an end.
        length = -1 if length >= sys.maxsize // 2 else length
    if length == -1:
        raise DataError(
            f"a {kind} with an end",
            "one without",
            "Leave .repeat() out: the plan has epochs.",
            code="SLP-317",
        )


def _parts(batch: Any, kind: str) -> tuple[Arrays, Arrays, Arrays]:
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise DataError(
            f"batches (x, y) or (x, y, weight) from a {kind}, as Model.fit takes them",
            type(batch).__name__,
            "Map it to pairs of inputs and targets.",
            code="SLP-320",
        )
    x, y, *weight = batch
    return x, y, weight[0] if weight else None


def _as_numpy(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def _refuse_single(arrays: Arrays, kind: str) -> None:
    lengths = {array.shape[0] if array.ndim else -1 for array in leaves(arrays)}
    if len(lengths) > 1 or -1 in lengths:
        raise DataError(
            f"batches from a {kind}, as Model.fit takes them",
            "single examples" if -1 in lengths else "arrays of different lengths in one batch",
            "Batch it, like .batch(32).",
            code="SLP-321",
        )
