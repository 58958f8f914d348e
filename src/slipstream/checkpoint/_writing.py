"""How a checkpoint comes to be: written beside its place, synced, renamed, synced."""

from __future__ import annotations

import datetime
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.checkpoint._arrays import Entry, entries_of, parts_of
from slipstream.checkpoint._disk import remove_tree, write_file
from slipstream.checkpoint._manifest import (
    ARRAYS_FILE,
    MANIFEST_FILE,
    MAX_JSON_BYTES,
    VALUES_FILE,
    FileEntry,
    Manifest,
    Name,
)
from slipstream.checkpoint.snapshot import Snapshot
from slipstream.errors import InputError
from slipstream.files import sync_folder

PART = ".part"


class Draft:
    """A snapshot that was looked at: all of it can be written.

    Args:
        snapshot: What is to be written.

    Raises:
        InputError: It holds what cannot be kept.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.entries: tuple[Entry, ...] = entries_of(snapshot.arrays)
        self.values = _encoded(snapshot.values)

    @property
    def num_bytes(self) -> int:
        """What arrays and values will take on the disk."""
        return len(self.values) + sum(entry.num_bytes for entry in self.entries)

    def commit(self, root: Path, number: int, best: bool) -> Path:
        """Write a new folder; under its final name it is whole, or it is not there.

        Args:
            root: The folder of all checkpoints.
            number: The commit's number.
            best: Whether it is the best so far.

        Returns:
            The folder.

        Raises:
            OSError: Something could not be written. What was written is removed where it can be.
        """
        part = root / f"{number:08d}-{uuid.uuid4().hex}{PART}"
        try:
            os.mkdir(part)  # noqa: PTH102
            folder = root / str(self._write(part, number, best))
            sync_folder(part)
            os.rename(part, folder)  # noqa: PTH104
        except BaseException:
            remove_tree(part)
            raise
        sync_folder(root)
        return folder

    def _write(self, part: Path, number: int, best: bool) -> Name:
        arrays = write_file(part / ARRAYS_FILE, parts_of(self.snapshot.arrays))
        values = write_file(part / VALUES_FILE, [self.values])
        manifest = Manifest(
            number=number,
            update=int(self.snapshot.update),
            epoch=int(self.snapshot.epoch),
            best=best,
            written=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            files={
                ARRAYS_FILE: FileEntry(**vars(arrays)),
                VALUES_FILE: FileEntry(**vars(values)),
            },
            arrays=self.entries,
        )
        content = manifest.encoded()
        write_file(part / MANIFEST_FILE, [content])
        return Name.of(manifest, content)


def why_not_kept(state: Mapping[Any, Any]) -> str:
    """Return what of a state no checkpoint could give back; "" where all of it can be kept.

    Args:
        state: Plain values and arrays, by name.

    Example:
        >>> why_not_kept({"count": 1, "names": ["a", {"b"}]})
        "values['names']['1'] of type set"
    """
    if wrong := _unspeakable(dict.fromkeys(state)):
        return f"values{wrong}"
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    wrong = _unspeakable({name: value for name, value in state.items() if name not in arrays})
    if wrong:
        return f"values{wrong}"
    try:
        entries_of(arrays)
    except InputError as error:
        return error.came
    return ""


def _encoded(values: Mapping[str, Any]) -> bytes:
    values = dict(values)
    wrong = _unspeakable(values)
    if not wrong:
        try:
            content = json.dumps(values, check_circular=False).encode()
        except ValueError as error:
            wrong = f", where {error}"
        else:
            if len(content) <= MAX_JSON_BYTES:
                return content
            wrong = f" of {len(content)} bytes, more than {MAX_JSON_BYTES}"
    raise InputError(
        "values in a checkpoint that JSON can say",
        f"values{wrong}",
        "Hand over texts, numbers, truth values, None, lists, and mappings with texts as keys;"
        " what is large, as arrays.",
        code="SLP-618",
    )


def _unspeakable(value: Any, depth: int = 0) -> str:
    """Return what JSON cannot say, or would give back as something else; "" if nothing."""
    if value is None or isinstance(value, str | bool | int | float):
        return ""
    if depth == 100:
        return f", which is nested more than {depth} deep"
    if isinstance(value, list | tuple):
        children: Iterable[tuple[Any, Any]] = enumerate(value)
    elif not isinstance(value, dict):
        return f" of type {type(value).__name__}"
    else:
        for key in value:
            if not isinstance(key, str):
                return f" with a key of type {type(key).__name__}"
        children = value.items()
    for key, child in children:
        told = _unspeakable(child, depth + 1)
        if told:
            return f"[{str(key)[:40]!r}]{told}"
    return ""
