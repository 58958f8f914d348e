"""Steps as CUDA graphs: recorded once, replayed for each update with one launch.

A step on a GPU is some hundred kernels, and a small net's are shorter than it takes Python to
launch them. A recording holds them all; a replay repeats the very same kernels on the very same
memory. So nothing that changes from update to update may come from Python: examples, learning
rates and the like lie in tables on the device, from which a step takes the row that is due.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from slipstream.data.splits import Arrays, leaves, map_arrays

# Updates that are made one by one before a shape of blocks is recorded: kernels are chosen, memory
# is laid out, metrics are built. And how many of the first replays are compared with the step.
WARM_UP, PROOFS = 3, 2
# Each recording keeps the memory of a step.
MOST_RECORDINGS = 4
# By how much a replay's movement of all variables may differ from a step's, where kernels add in
# any order and an optimizer takes the sign of what is nothing but rounding.
TOLERANCE = 0.25

Step = Callable[[], None]
# One for each update; None for those that the optimizer has itself.
Rates = Sequence[float] | NDArray[np.float32] | None
Update = Callable[[list[Arrays]], None]


class Host(Protocol):
    """What the host does for steps that are not to ask it for anything.

    Attributes:
        row: The numbers of the update that is being made, on the device, where the step reads them.
    """

    row: torch.Tensor

    def numbers(self, rates: Rates, count: int) -> torch.Tensor:
        """Return the rows of the next `count` updates, on the processor; see `Program.train`."""
        ...

    def made(self, rates: Rates, count: int) -> None:
        """Take note of `count` updates that the device has been given to make."""
        ...

    def signature(self) -> Hashable:
        """Return what a recording depends on: where it changes, it is to be made anew."""
        ...

    def state(self) -> list[torch.Tensor]:
        """Return all tensors that a step changes."""
        ...


class Recorder(Protocol):
    """What records steps: CUDA graphs, or in tests what only plays one."""

    def warm_up(self, step: Step) -> None:
        """Run a step as it would be while recording, without recording it."""
        ...

    def capture(self, step: Step) -> Step:
        """Record a step, which is not made thereby; return what makes it."""
        ...


@final
class CudaRecorder:
    """Records CUDA graphs, on a stream of its own as CUDA wants it."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm_up(self, step: Step) -> None:
        """See `Recorder`."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            step()
        torch.cuda.current_stream().wait_stream(self._stream)

    def capture(self, step: Step) -> Step:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on to copy data: they have no part in this.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            step()
        return graph.replay


@final
class RecordedSteps:
    """Makes the updates of blocks by replaying recordings of them, where it can.

    Args:
        host: What the host does for them.
        update: Makes an update from micro-batches on the device, and reads no number of the host.
        gather: From what a block holds of a micro-batch to the examples.
        recorder: What records; None makes every update step by step.
        note: Told once why steps are not recorded.

    Attributes:
        after: Called after each update of a block.
    """

    def __init__(
        self,
        host: Host,
        update: Update,
        gather: Callable[[Arrays], Arrays],
        recorder: Recorder | None,
        note: Callable[[str], None],
    ) -> None:
        self._host = host
        self._update = update
        self._gather = gather
        self._recorder = recorder
        self._note = note
        self.after: Step = lambda: None
        self._signature: Hashable = None
        self._recordings: dict[str, _Recording] = {}

    def train(self, block: Arrays, rates: Rates, count: int) -> None:
        """Make the first `count` updates of a block of tensors; see `Program.train`."""
        numbers = self._host.numbers(rates, count)
        recording = self._recording(block)
        recording.fill(block, numbers)
        made = 0
        try:
            for _ in range(count):
                self._make(recording)
                self.after()
                made += 1
        finally:
            self._host.made(rates, made)

    def train_ragged(self, batches: list[Arrays], rate: float | None) -> None:
        """Make one update of batches as they come, which is not recorded."""
        rates = None if rate is None else [rate]
        _upload(self._host.row, self._host.numbers(rates, 1)[0])
        self._update(batches)
        self._host.made(rates, 1)

    def forget(self) -> None:
        """Let go of all recordings: what they read is gone."""
        self._recordings.clear()

    def _recording(self, block: Arrays) -> _Recording:
        signature = self._host.signature()
        if signature != self._signature:
            self.forget()
            self._signature = signature
        shape = str(map_arrays(lambda array: (tuple(array.shape), str(array.dtype)), block))
        found = self._recordings.get(shape)
        if found is None:
            if len(self._recordings) == MOST_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))
            found = _Recording(block, self._host, self._update, self._gather)
            self._recordings[shape] = found
        return found

    def _make(self, recording: _Recording) -> None:
        recorder = self._recorder
        if recorder is None:
            recording.step()
            return
        try:
            recording.make(recorder)
        except _NotRecordedError as error:
            self._recorder = None
            self.forget()
            self._note(f"not captured in a CUDA graph: {error}")
            recording.step()


class _NotRecordedError(Exception):
    """A step that cannot be recorded, and has not been made; says why."""


@final
class _Recording:
    """The updates of blocks of one shape.

    Args:
        block: The first of them.
        host, update, gather: See `RecordedSteps`.
    """

    def __init__(
        self, block: Arrays, host: Host, update: Update, gather: Callable[[Arrays], Arrays]
    ) -> None:
        self._host = host
        self._update = update
        self._gather = gather
        first = next(leaves(block))
        self._num_micro_batches = first.shape[1]
        device = host.row.device
        self._block = _each(lambda tensor: tensor.to(device, copy=True), block)
        self._table = host.row.new_empty(first.shape[0], len(host.row))
        # The update that is due.
        self._next = torch.zeros(1, dtype=torch.int64, device=device)
        self._replay: Step | None = None
        self._warm = 0
        self._question = ""
        self._proven = 0

    def fill(self, block: Arrays, numbers: torch.Tensor) -> None:
        """Put a block and the numbers of its updates where the step finds them."""
        for buffer, tensor in zip(_tensors(self._block), _tensors(block), strict=True):
            _upload(buffer, tensor)
        _upload(self._table[: len(numbers)], numbers)
        self._next.zero_()

    def step(self) -> None:
        """Make the update that is due, kernel by kernel."""
        with torch.no_grad():
            self._host.row.copy_(self._table.index_select(0, self._next)[0])
            chosen = _each(lambda tensor: tensor.index_select(0, self._next)[0], self._block)
            batches = [
                self._gather(_each(lambda tensor, m=micro: tensor[m], chosen))  # type: ignore[misc]
                for micro in range(self._num_micro_batches)
            ]
            self._next.add_(1)
        self._update(batches)

    def make(self, recorder: Recorder) -> None:
        """Make the update that is due, by a replay as soon as there is a recording.

        Raises:
            _NotRecordedError: It cannot be recorded.
        """
        if self._replay is None and self._warm < WARM_UP:
            self._warm += 1
            with _Questions() as questions:
                recorder.warm_up(self.step)
            self._question = questions.first
            return
        if self._question:
            raise _NotRecordedError(f"{self._question} goes between host and device in each step")
        if self._replay is None:
            self._replay = _captured(recorder, self.step)
        if self._proven < PROOFS:
            self._prove(recorder, self._replay)
            self._proven += 1
        else:
            self._replay()

    def _prove(self, recorder: Recorder, replay: Step) -> None:
        """Make the update by a replay and by the step, and compare.

        A recording that reads memory which has been given to somebody else fails without a word.
        """
        tensors = [self._next, *self._host.state()]
        before = [tensor.detach().clone() for tensor in tensors]
        recorder.warm_up(self.step)
        expected = [tensor.detach().clone() for tensor in tensors]
        _put_back(tensors, before)
        replay()
        if not _are_alike(tensors, expected, before):
            _put_back(tensors, before)
            raise _NotRecordedError("a replay did something else than the step")


@final
class _Questions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks on for what a step asks of the host, or fetches from it: neither can be recorded.

    Attributes:
        first: The first operation that did so; "" if none did.
    """

    READS = ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero")
    # From plain numbers of Python to a tensor.
    WRITES = ("aten::lift_fresh",)
    COPIES = ("aten::copy_", "aten::_to_copy")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.first = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        asks = name in self.READS or name in self.WRITES
        if name in self.COPIES:
            places = {part.device for part in (*args, result) if isinstance(part, torch.Tensor)}
            asks = len(places) > 1
        elif name == "aten::index":
            # How many a mask chooses is known to the device alone.
            asks = any(index is not None and index.dtype == torch.bool for index in args[1])
        if asks and not self.first:
            self.first = name
        return result


def _captured(recorder: Recorder, step: Step) -> Step:
    try:
        return recorder.capture(step)
    except Exception as error:
        with suppress(Exception):
            # What is left of the failure must not be taken for one of the next step.
            torch.cuda.synchronize()
        message = str(error).strip().splitlines()
        raise _NotRecordedError(
            f"{type(error).__name__}: {message[0] if message else ''}"
        ) from error


def _put_back(tensors: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def _are_alike(
    came: Sequence[torch.Tensor], expected: Sequence[torch.Tensor], before: Sequence[torch.Tensor]
) -> bool:
    """Whether two updates from the same state moved it in the same way."""
    error, movement, size = 0.0, 0.0, 0.0
    for one, other, start in zip(came, expected, before, strict=True):
        if not one.is_floating_point():
            if not torch.equal(one, other):
                return False
            continue
        wide, told, old = one.detach().double(), other.double(), start.double()
        error += float((wide - told).square().sum())
        movement += float((told - old).square().sum())
        size += float(told.square().sum())
    if not np.isfinite(movement):
        # A diverged run is no fault of the recording's.
        return not np.isfinite(error)
    return bool(error <= TOLERANCE**2 * movement + 1e-12 * size)


def _each(function: Callable[[torch.Tensor], torch.Tensor], nest: Arrays) -> Arrays:
    return map_arrays(cast(Any, function), nest)


def _tensors(nest: Arrays) -> Iterator[torch.Tensor]:
    return cast(Iterator[torch.Tensor], leaves(nest))


def _upload(buffer: torch.Tensor, values: torch.Tensor) -> None:
    """Copy values into a buffer without waiting for what the device is still to do."""
    if buffer.is_cuda and not values.is_cuda:
        # Memory that the device fetches from by itself; PyTorch keeps it until that is done.
        buffer.copy_(values.pin_memory(), non_blocking=True)
    else:
        buffer.copy_(values)
