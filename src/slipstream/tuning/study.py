"""The folder of a study: what each stage found, kept so that nothing is done twice."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from slipstream.checkpoint import RunLock
from slipstream.errors import InputError, RecordError
from slipstream.files import read_json, read_text, sweep, whole_lines
from slipstream.progress import Happening, Listener
from slipstream.record import write_json
from slipstream.task import TaskFacts
from slipstream.tuning.context import Deadline

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1
# As much of the budget's clock as is lost when the study is killed.
SECONDS_APART = 5.0

Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True)
class Identity:
    """What a study is about: to go on with it, all of this has to be the same."""

    reference: str
    num_seeds: int
    backends: tuple[str, ...]
    allow_precision: bool
    techniques: tuple[str, ...] = ()


class Study:
    """Results of stages on disk, and the budget's clock, which goes on where it stopped.

    Args:
        folder: The study's folder; made when missing.
        identity: What the study is about.
        budget_seconds: Wall-clock seconds for all stages, those of earlier sittings counted in.
        resume: Whether results that are there are to be used.

    Raises:
        InputError: The folder holds a study already and resume is False, another study, none to go
            on with, or one that another process has open; or it cannot be written to.
    """

    def __init__(
        self, folder: Path, identity: Identity, budget_seconds: float, resume: bool
    ) -> None:
        self.folder = folder
        self.budget_seconds = budget_seconds
        self._file = folder / STUDY_FILE
        self._start = self._saved_at = time.monotonic()
        self._spent_before = 0.0
        self._values: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "identity": json.loads(json.dumps(identity.__dict__)),
            "spent_seconds": 0.0,
            "stages": {},
        }
        self._refuse(resume)
        self._lock = RunLock(folder).acquire()
        try:
            # Not before: whoever had the folder may have written meanwhile.
            self._refuse(resume)
            sweep(folder)
            if resume:
                self._take_up()
        except BaseException:
            self._lock.release()
            raise
        self._spent_before = float(self._values["spent_seconds"])

    @property
    def spent_seconds(self) -> float:
        """Seconds of the budget that are gone."""
        return self._spent_before + time.monotonic() - self._start

    @property
    def left_seconds(self) -> float:
        """Seconds of the budget that are left; below 0 when it is overdrawn."""
        return self.budget_seconds - self.spent_seconds

    def result(self, stage: str, kind: type[Result]) -> Result | None:
        """Return what a stage found in an earlier sitting, or None."""
        stored = self._values["stages"].get(stage)
        if stored is None:
            return None
        try:
            return kind.model_validate(stored["result"])
        except ValidationError as error:
            raise RecordError(
                f"the stage '{stage}' in {self._file} to be readable",
                str(error).splitlines()[0],
                "Start a new study in another folder.",
                code="SLP-631",
            ) from None

    def store(self, stage: str, result: BaseModel, seconds: float) -> None:
        """Keep what a stage found."""
        self._values["stages"][stage] = {
            "seconds": round(seconds, 3),
            "result": result.model_dump(mode="json"),
        }
        self._save()

    def note(self, name: str, value: BaseModel) -> None:
        """Append a part of a stage's result, so that an interruption does not lose it."""
        path = self.folder / f"{name}.jsonl"
        whole_lines(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(value.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def noted(self, name: str, kind: type[Result]) -> list[Result]:
        """Return what was noted in an earlier sitting, in order; half a last line is left out."""
        file = self.folder / f"{name}.jsonl"
        values: list[Result] = []
        for line in read_text(file).splitlines() if file.exists() else []:
            with contextlib.suppress(ValidationError):
                values.append(kind.model_validate_json(line))
        return values

    def refuse_changed(self, facts: TaskFacts) -> None:
        """Raise RecordError when task or data are no longer those that the study began with."""
        known = self._values.setdefault("task", [facts.fingerprint, facts.data_hash])
        if known != [facts.fingerprint, facts.data_hash]:
            raise RecordError(
                f"the task and the data that the study in {self.folder} began with",
                "a task or data that were changed since",
                "Start a new study in another folder.",
                code="SLP-632",
            )
        self._save()

    def seconds_of(self, stage: str) -> float:
        """Return what a stage took, in seconds; 0 if it was not done."""
        return float(self._values["stages"].get(stage, {}).get("seconds", 0.0))

    def deadline(self, stage: str, seconds: float) -> Deadline:
        """Return until when a stage may go on.

        In a later sitting it is as long as it was in the first, and what was spent since the stage
        began is gone.
        """
        now = self.spent_seconds
        begun = self._values.setdefault("begun", {})
        seconds, at = begun.setdefault(stage, [seconds, round(now, 3)])
        self._save()
        return Deadline(seconds, gone=max(0.0, now - at))

    def keeping_time(self, listener: Listener) -> Listener:
        """Return a listener that also writes down what was spent, for a study may be killed."""

        def listen(happening: Happening) -> None:
            if self._values["stages"] and time.monotonic() - self._saved_at > SECONDS_APART:
                self._save()
            listener(happening)

        return listen

    def close(self) -> None:
        """Write down what was spent, and let others have the folder."""
        if self._values["stages"]:
            self._save()
        self._lock.release()

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Return a study to look at: nothing is written, and it may be running."""
        study = cls.__new__(cls)
        study.folder = folder
        study.budget_seconds = 0.0
        study._file = folder / STUDY_FILE
        study._start = study._saved_at = time.monotonic()
        study._values = study._stored()
        study._spent_before = float(study._values["spent_seconds"])
        return study

    def _refuse(self, resume: bool) -> None:
        """Raise InputError where there is a study and none is wanted, or the other way round."""
        if resume and not self._file.exists():
            raise InputError(
                f"a study to go on with in {self.folder}",
                "none there",
                "Name the study's folder with --out, or leave --resume away to begin one.",
                code="SLP-630",
            )
        if not resume and self._file.exists():
            raise InputError(
                f"a folder without a study, where {self.folder} is",
                "one that holds a study already",
                "Add --resume to go on with it, or name another folder with --out.",
                code="SLP-633",
            )

    def _take_up(self) -> None:
        stored = self._stored()
        # Studies that began before techniques could be asked for were asked for none.
        if {"techniques": [], **stored["identity"]} != self._values["identity"]:
            raise InputError(
                f"the task, seeds, backends, precision and techniques that {self._file} began with",
                f"{self._values['identity']} where it holds {stored['identity']}",
                "Give the same options, or name another folder with --out.",
                code="SLP-634",
            )
        self._values = stored

    def _stored(self) -> dict[str, Any]:
        try:
            stored = read_json(self._file)
            version, _, _ = stored["schema_version"], stored["identity"], stored["stages"]
            float(stored["spent_seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"a study in {self._file}",
                f"{type(error).__name__}: {error}",
                "Start a new study in another folder.",
                code="SLP-635",
            ) from None
        if version != SCHEMA_VERSION:
            raise RecordError(
                f"a study of schema version {SCHEMA_VERSION} in {self._file}",
                f"version {version}",
                "Read it with the version of Slipstream that wrote it.",
                code="SLP-636",
            )
        return dict(stored)

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._values["spent_seconds"] = round(self.spent_seconds, 3)
        write_json(self._file, self._values)
