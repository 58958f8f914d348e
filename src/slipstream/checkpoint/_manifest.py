"""What stands in a checkpoint's folder, and what the folder is called."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from slipstream.checkpoint._arrays import Entry, Size

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
ARRAYS_FILE: Literal["arrays.bin"] = "arrays.bin"
VALUES_FILE: Literal["values.json"] = "values.json"
# Far above what trainings write (some kilobytes) and far below what hurts.
MAX_JSON_BYTES = 64 << 20

_NAME = re.compile(r"([0-9]{8,18})-([0-9]{12,18})-([0-9a-f]{16})(-best)?")
_DIGITS_OF_NAME = 16

FileName = Literal["arrays.bin", "values.json"]


class NewerVersionError(Exception):
    """A checkpoint in a form that only a newer version knows."""


class FileEntry(BaseModel):
    """Size and SHA-256 of a file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    bytes: Size
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a checkpoint's folder holds. The names of its files are fixed: none is followed.

    Args:
        schema_version: The form of the folder.
        number: Counts the commits of a run folder, from 1.
        update: Optimizer updates made so far.
        epoch: The epoch that the training stands in.
        best: Whether it was the best so far.
        written: When, in UTC.
        files: Size and SHA-256 of each file.
        arrays: What stands in the file of arrays, in order.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    schema_version: Literal[1] = 1
    number: Size
    update: Size
    epoch: Size
    best: bool
    written: str
    files: dict[FileName, FileEntry]
    arrays: tuple[Entry, ...]

    def encoded(self) -> bytes:
        """Return it as JSON, one array a line, for people who look into the folder."""
        values = self.model_dump(mode="json")
        arrays = ",\n  ".join(json.dumps(entry) for entry in values.pop("arrays"))
        start = json.dumps(values, indent=1).removesuffix("\n}")
        return f'{start},\n "arrays": [\n  {arrays}\n ]\n}}\n'.encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Return the manifest that `encoded` spelt out.

        Raises:
            NewerVersionError: Its form is another one.
            ValueError: It is none, or contradicts itself.
        """
        try:
            version = json.loads(content)["schema_version"]
            if version != SCHEMA_VERSION:
                raise NewerVersionError(f"schema version {version!r:.20}")
            manifest = cls.model_validate_json(content)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"{MANIFEST_FILE} does not say what a manifest says") from None
        manifest._refuse_contradictions()
        return manifest

    def _refuse_contradictions(self) -> None:
        if len(self.files) != 2 or len({entry.name for entry in self.arrays}) != len(self.arrays):
            raise ValueError(f"{MANIFEST_FILE} lacks a file or names an array twice")
        declared = sum(entry.num_bytes for entry in self.arrays)
        if declared != self.files[ARRAYS_FILE].bytes:
            raise ValueError(
                f"{MANIFEST_FILE} declares arrays of {declared} bytes in a file of"
                f" {self.files[ARRAYS_FILE].bytes}"
            )


@dataclass(frozen=True, order=True)
class Name:
    """The name of a checkpoint's folder. It holds the manifest's hash, which nothing else does.

    Args:
        number: Counts the commits of a run folder.
        update: Optimizer updates made so far.
        digest: The first digits of the manifest's SHA-256.
        best: Whether it was the best so far.
    """

    number: int
    update: int
    digest: str
    best: bool

    @classmethod
    def of(cls, manifest: Manifest, content: bytes) -> Self:
        """Return the name for a manifest that is spelt out by these bytes."""
        digest = hashlib.sha256(content).hexdigest()[:_DIGITS_OF_NAME]
        return cls(manifest.number, manifest.update, digest, manifest.best)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the name that a folder's name spells, or None.

        Example:
            >>> Name.parse("00000003-000000001200-5be1a07c92d4f388-best")
            Name(number=3, update=1200, digest='5be1a07c92d4f388', best=True)
            >>> Name.parse("best.weights.h5")
        """
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        number, update, digest, best = match.groups()
        return cls(int(number), int(update), digest, best is not None)

    def __str__(self) -> str:
        best = "-best" if self.best else ""
        return f"{self.number:08d}-{self.update:012d}-{self.digest}{best}"
