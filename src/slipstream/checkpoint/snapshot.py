"""What a checkpoint holds, and what is told of one that was written or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that a training needs to go on from one point, cut off from what goes on changing.

    Args:
        arrays: Arrays of numbers or texts by name. Any name will do: names never become paths.
            Dtypes of the package ml_dtypes (bfloat16) are among what can be kept; objects are not.
            They are not copied: whoever hands them over does not write to them again.
        values: What JSON can say: mappings with texts as keys, lists, texts, numbers (NaN and
            infinities too), truth values, None. Floats come back bit for bit, tuples as lists.
        epoch: The epoch that the training stands in, from 0.
        update: Optimizer updates made so far.
    """

    arrays: Mapping[str, NDArray[Any]]
    values: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    update: int = 0


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was committed.

    Args:
        path: Its folder.
        update: The update that it stands at.
        bytes: What its files hold.
        seconds: What writing, syncing and renaming took.
    """

    path: Path
    update: int
    bytes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Found:
    """A checkpoint that was read, each of its bytes verified.

    Args:
        snapshot: What was saved; the arrays are new and can be written to.
        path: Its folder.
        skipped: A sentence for each newer checkpoint that is damaged, the newest first.
    """

    snapshot: Snapshot
    path: Path
    skipped: tuple[str, ...] = ()
