"""What the manager and a worker say to each other: one JSON value a line.

The manager sends requests; the worker answers each with any number of happenings and then one
reply. A request and what answers it carry the same number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from slipstream import errors
from slipstream.errors import InputError, SlipstreamError
from slipstream.loss_surface import Landscape, LandscapeSettings
from slipstream.plan import Plan
from slipstream.record import Point, Record, Signal
from slipstream.task import ModelFacts, TaskFacts


class Message(BaseModel):
    """What all messages share: frozen, no unknown keys, NaN and infinity written as strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


# ---------------------------------------------------------------- requests


class Open(Message):
    """Import Keras and the backend, resolve the task, load its data."""

    do: Literal["open"] = "open"
    reference: str
    seed: int = 0


class Look(Message):
    """Build the model once and say what it, the task and the data are.

    The checks take the plan that is to be trained, or, where there is none, the task's own; in
    either the keys of `changes` are changed first. `target` takes the place of the task's own.
    """

    do: Literal["look"] = "look"
    plan: Plan | None = None
    changes: dict[str, bool | int | float | str] = {}
    target: float | None = None


class CheckPlan(Message):
    """Say, after a look, whether a plan can be trained; `name` is what messages call it."""

    do: Literal["check"] = "check"
    name: str
    plan: Plan


class BuildProbe(Message):
    """Build and compile one candidate; the clock that counts is in the worker."""

    do: Literal["probe"] = "probe"
    plan: Plan


class MeasureProbe(Message):
    """Run the probe for about so many seconds."""

    do: Literal["measure"] = "measure"
    seconds: float


class Train(Message):
    """Run one training; `folder` is the run's folder, or None to keep nothing on disk.

    `checkpoint_every` says how often it is saved there, as `Every.parse` takes it; such a run that
    is asked to stop is interrupted, and may be gone on with. None is for runs that stop early.
    `callbacks` says whether the task's own are called.
    """

    do: Literal["train"] = "train"
    plan: Plan
    folder: str | None = None
    evaluate_test: bool = False
    limit_seconds: float | None = None
    limit_updates: int | None = None
    checkpoint_every: str | None = None
    resume: bool = False
    callbacks: bool = False


class RangeTest(Message):
    """Raise the learning rate from the lowest to the highest and watch the loss."""

    do: Literal["range_test"] = "range_test"
    plan: Plan
    lowest: float
    highest: float
    updates: int


class LookAround(Message):
    """Compute the loss around weights that a training left in a file."""

    do: Literal["look_around"] = "look_around"
    plan: Plan
    weights: str
    settings: LandscapeSettings


class StopTraining(Message):
    """Ask the training that runs to stop soon. Gets no reply of its own."""

    do: Literal["stop"] = "stop"


class Quit(Message):
    """End the process."""

    do: Literal["quit"] = "quit"


Request = Annotated[
    Open
    | Look
    | CheckPlan
    | BuildProbe
    | MeasureProbe
    | Train
    | RangeTest
    | LookAround
    | StopTraining
    | Quit,
    Field(discriminator="do"),
]


class Numbered(Message):
    """A request with its number."""

    number: int
    request: Request


# ---------------------------------------------------------------- values of replies


class Opened(Message):
    """Seconds of import and of loading: both are reported, neither is on a training's clock."""

    kind: Literal["opened"] = "opened"
    backend: str
    import_seconds: float
    load_seconds: float


class Looked(Message):
    """The facts, and what the doctor found, each finding as plain values."""

    kind: Literal["looked"] = "looked"
    task: TaskFacts
    model: ModelFacts
    findings: tuple[dict[str, Any], ...] = ()


class Checked(Message):
    """The doctor's findings on a plan that can be trained; else the answer is a problem."""

    kind: Literal["checked"] = "checked"
    findings: tuple[dict[str, Any], ...] = ()


class Probed(Message):
    """What a user waits for before the first update: building and compiling, in seconds."""

    kind: Literal["probed"] = "probed"
    compile_seconds: float


class Measured(Message):
    """Examples per second in each window, and the worker's peak memory so far: resident, GPU."""

    kind: Literal["measured"] = "measured"
    examples_per_second: tuple[float, ...]
    peak_memory_bytes: int
    peak_device_bytes: int = 0


class Trained(Message):
    """The record of a training."""

    kind: Literal["trained"] = "trained"
    record: Record


class Ranged(Message):
    """Pairs of learning rate and smoothed loss, in the order they were tried."""

    kind: Literal["ranged"] = "ranged"
    points: tuple[tuple[float, float], ...]


class LookedAround(Message):
    """The loss around some weights."""

    kind: Literal["looked_around"] = "looked_around"
    landscape: Landscape


class Done(Message):
    """Nothing to say but that it is done."""

    kind: Literal["done"] = "done"


class Problem(Message):
    """An error as values: `error` is the name of its class."""

    kind: Literal["problem"] = "problem"
    error: str
    expected: str = ""
    came: str = ""
    mend: str = ""
    code: str = ""
    message: str
    traceback: str = ""

    def input_error(self) -> InputError | None:
        """Return the error of the user's input that this is, or None when it is none."""
        found = getattr(errors, self.error, None)
        if isinstance(found, type) and issubclass(found, InputError):
            return found(self.expected, self.came, self.mend, code=self.code)
        return None


# ---------------------------------------------------------------- happenings


class TrainingStarted(Message):
    """A training began its first update."""

    kind: Literal["started"] = "started"
    total_updates: int
    updates_per_epoch: int


class TrainingResumed(Message):
    """A training goes on after `update`; `skipped` says which newer checkpoints are damaged."""

    kind: Literal["resumed"] = "resumed"
    update: int
    epoch: float
    skipped: tuple[str, ...] = ()


class TrainingProgress(Message):
    """Where a training is; `seconds` is the clock's time."""

    kind: Literal["progress"] = "progress"
    update: int
    total_updates: int
    epoch: float
    seconds: float
    examples_per_second: float


class TrainingEvaluated(Message):
    """One validation, whether it is the best so far, and the learning rate at it."""

    kind: Literal["evaluated"] = "evaluated"
    point: Point
    is_best: bool
    learning_rate: float


class TrainingSignalled(Message):
    """A training shows something that somebody should know."""

    kind: Literal["signalled"] = "signalled"
    signal: Signal


Happening = (
    TrainingStarted | TrainingResumed | TrainingProgress | TrainingEvaluated | TrainingSignalled
)
Value = Opened | Looked | Checked | Probed | Measured | Trained | Ranged | LookedAround | Done


class Reply(Message):
    """One line from a worker: a happening, or the value or problem that ends a request."""

    number: int
    body: Annotated[Value | Happening | Problem, Field(discriminator="kind")]


_NUMBERED: TypeAdapter[Numbered] = TypeAdapter(Numbered)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def read_request(line: str) -> Numbered:
    """Read one line from the manager."""
    return _NUMBERED.validate_json(line)


def read_reply(line: str) -> Reply:
    """Read one line from a worker."""
    return _REPLY.validate_json(line)


def write_line(message: Message) -> str:
    """Return a message as one line.

    Example:
        >>> read_request(write_line(Numbered(number=3, request=Look()))).request == Look()
        True
    """
    return message.model_dump_json() + "\n"


def to_problem(error: BaseException, traceback: str) -> Problem:
    """Turn an error into values.

    Example:
        >>> problem = to_problem(errors.DataError("labels", "none", "Add them."), "")
        >>> str(problem.input_error())
        'Expected labels; got none. Add them.'
    """
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SlipstreamError):
        return Problem(
            error=type(error).__name__,
            expected=error.expected,
            came=error.came,
            mend=error.mend,
            code=error.code,
            message=str(error),
            traceback=traceback,
        )
    return Problem(error=type(error).__name__, message=message, traceback=traceback)
