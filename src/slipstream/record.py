"""Record: the facts of one run, as one folder on disk."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from slipstream.better import Mode, meets
from slipstream.errors import RecordError
from slipstream.files import read_json, read_text, write_text

SCHEMA_VERSION = 2
# Version 1 has no checkpoints; all else is the same.
READABLE_VERSIONS = (1, 2)
RECORD_FILE = "record.json"
METRICS_FILE = "metrics.jsonl"
WEIGHTS_FILE = "best.weights.h5"
# A million evaluations are shorter.
MOST_METRICS_BYTES = 64 << 20

# "stopped_early" by the plan or an observer; "limit_reached" where whoever measures ended it.
Outcome = Literal[
    "completed", "stopped_early", "reached_target", "limit_reached", "failed", "interrupted"
]


class JsonModel(BaseModel):
    """A frozen value that reads back from its JSON; JSON has no infinity, so it is a string."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    # ser_json_inf_nan alone leaves bare infinities in model_dump(mode="json").
    @model_serializer(mode="wrap", when_used="json")
    def _spell_non_finite(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: _spelt(value) for name, value in dump(self).items()}


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _spelt(inner) for name, inner in value.items()}
    return [_spelt(inner) for inner in value] if isinstance(value, list | tuple) else value


class Timings(JsonModel):
    """Where the time went, in seconds. `clock_seconds` is what a user waits for.

    Waiting for examples is a part of training. Imports and the loading of data happen before the
    clock starts; building, compiling, training,
    evaluating (the held-out test split excepted) and looking into layers are on it.
    """

    import_seconds: float = 0.0
    load_seconds: float = 0.0
    build_seconds: float = 0.0
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    wait_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    monitor_seconds: float = 0.0
    clock_seconds: float = 0.0


class Environment(JsonModel):
    """What must be equal for two runs to be compared: machine and versions."""

    machine: dict[str, str | int]
    versions: dict[str, str]


class Point(JsonModel):
    """One validation: after `step` updates and `seconds` on the clock."""

    step: int
    epoch: float
    seconds: float
    values: dict[str, float]


class Signal(JsonModel):
    """Something that a run showed: when, of which kind, what was seen, and what may help.

    `examples` are the rows of the training split that it is about, where it is about some.
    """

    epoch: float
    step: int
    kind: str
    seen: str
    advice: str
    examples: list[int] = []


class Bound(JsonModel):
    """What bounds a training: examples, the overhead of calls, or arithmetic and memory.

    `waiting_share` is the part of training in which the device waited for examples, `work_share`
    the part that its arithmetic and memory traffic take at this machine's speeds; None where the
    model does not tell.
    """

    verdict: Literal["input-bound", "overhead-bound", "compute-bound", "unknown"]
    waiting_share: float
    work_share: float | None = None


class Checkpoints(JsonModel):
    """The checkpoints of a run, over all its sittings.

    `bytes` is the size of the last one. The training waited for `wait_seconds` (copies of its
    state, on the clock), and writing took `write_seconds` beside it. `resumed_at` are the updates
    after which the run was gone on with.
    """

    count: int = 0
    bytes: int = 0
    wait_seconds: float = 0.0
    write_seconds: float = 0.0
    resumed_at: list[int] = []


class Failure(JsonModel):
    """Why a run failed: the kind of error and its message."""

    kind: str
    message: str


class Record(JsonModel):
    """The facts of one run. Immutable once written.

    `applied` states what the engine did of the plan, `notes` what a reader should know (a fallback,
    a skipped part and why), and `events` what the run showed (overfitting, dead units, ...).
    """

    schema_version: int = SCHEMA_VERSION
    task: str
    reference: str
    fingerprint: str
    data_hash: str
    plan: dict[str, dict[str, Any]]
    plan_digest: str
    backend: str
    seed: int
    monitor: str
    mode: Mode
    target: float | None
    started_at: str
    environment: Environment
    timings: Timings
    outcome: Outcome
    failure: Failure | None = None
    updates: int
    epochs: float
    examples_per_second: float
    peak_memory_bytes: int
    parameters: int
    best_value: float | None
    best_epoch: float | None
    final_values: dict[str, float]
    test_values: dict[str, float] | None = None
    applied: dict[str, str] = {}
    notes: list[str] = []
    bound: Bound | None = None
    checkpoints: Checkpoints | None = None
    events: list[Signal] = []
    points: list[Point] = []

    @property
    def is_cut(self) -> bool:
        """Whether whoever measures ended it before its plan did: its quality is not known."""
        return self.outcome == "limit_reached"

    @property
    def quality(self) -> float | None:
        """The best value of a run that came to its end; None where it was cut, or has none."""
        return None if self.is_cut else self.best_value

    def seconds_to(self, target: float) -> float:
        """Return the clock's seconds at which the monitor first met the target.

        Infinity when it never did: such a run counts, it is not missing.
        """
        for point in self.points:
            value = point.values.get(self.monitor, math.nan)
            if meets(value, target, self.mode):
                return point.seconds
        return math.inf

    def best_within(self, seconds: float) -> float | None:
        """Return the monitor's best value within the first seconds of the clock, or None."""
        values = [
            point.values[self.monitor]
            for point in self.points
            if point.seconds <= seconds and math.isfinite(point.values.get(self.monitor, math.nan))
        ]
        if not values:
            return None
        return min(values) if self.mode == "min" else max(values)


def write_record(record: Record, folder: Path) -> Path:
    """Write record.json beside its place, sync it and rename it; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    # The points stand in metrics.jsonl, written as they came.
    return write_json(folder / RECORD_FILE, record.model_dump(mode="json", exclude={"points"}))


def write_json(path: Path, value: Any) -> Path:
    """Write JSON beside its place, sync it and rename it: a reader never sees half a file."""
    # Encoded before anything is opened: a value that is no JSON leaves no file behind.
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_record(folder: str | Path) -> Record:
    """Read a run folder; raises RecordError when it is not one."""
    folder = Path(folder)
    try:
        values = read_json(folder / RECORD_FILE)
        version = values.get("schema_version") if isinstance(values, Mapping) else None
        if version not in READABLE_VERSIONS:
            known = " or ".join(map(str, READABLE_VERSIONS))
            raise RecordError(
                f"a record of schema version {known} in {folder}",
                f"version {version}",
                "Read it with the version of Slipstream that wrote it.",
                code="SLP-624",
            )
        return Record.model_validate({**values, "points": list(read_points(folder))})
    except (OSError, ValueError, ValidationError) as error:
        raise RecordError(
            f"a run folder with {RECORD_FILE} at {folder}",
            _first_of(error),
            "Name a folder that 'slipstream fit' or 'slipstream optimize' wrote.",
            code="SLP-625",
        ) from None


def read_records(folder: Path) -> Iterator[Record]:
    """Yield the record of every run folder directly below, in the order of their names."""
    for file in sorted(folder.glob(f"*/{RECORD_FILE}")):
        yield read_record(file.parent)


def point_to_line(point: Point) -> str:
    """Return a point as one line of metrics.jsonl."""
    return point.model_dump_json() + "\n"


def read_points(folder: Path) -> Iterator[Point]:
    """Yield the points of a run folder: of a run that is under way, those so far.

    Raises:
        OSError: They cannot be read.
        ValueError: They are no points.
    """
    file = folder / METRICS_FILE
    if not file.exists():
        return
    *lines, rest = read_text(file, MOST_METRICS_BYTES).split("\n")
    for line in lines:
        yield Point.model_validate_json(line)
    # A run that was killed while it wrote leaves half a line, and that line alone, behind.
    with contextlib.suppress(ValidationError):
        yield Point.model_validate_json(rest)


def _first_of(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])):.200}: {first['msg']:.200}"
    return f"{type(error).__name__}: {str(error).splitlines()[0]:.200}"
