"""Short measurements: how fast a plan runs here, and which learning rates it bears."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import count as counting
from typing import NamedTuple, final

import numpy as np

from slipstream.backends import Program, peak_device_bytes
from slipstream.data.splits import Data, leaves
from slipstream.engine.build import Built, build
from slipstream.engine.feed import Block, Feed, Ragged
from slipstream.engine.open_program import open_for
from slipstream.engine.pipeline import prepared, probed
from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.task import Task


@final
class Probe:
    """A built and compiled plan, of which the throughput can be measured.

    Opening it compiles: `compile_seconds` holds building the model and the first block, less
    what a block takes afterwards.

    Args:
        task: The task.
        plan: The plan; its loop does not matter, blocks are measured.
        data: The task's data. What is learned is thrown away with the probe.
    """

    def __init__(self, task: Task, plan: Plan, data: Data) -> None:
        data = probed(data, plan)
        start = time.perf_counter()
        self._feed = Feed(data.train, plan)
        self._built, self._program = _open(task, plan, data, self._feed)
        self._blocks = self._endless()
        built = time.perf_counter() - start
        first, second = self._timed_step(), self._timed_step()
        self.compile_seconds = built + max(0.0, first - second)

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return int(self._built.model.count_params())

    @property
    def peak_device_bytes(self) -> int:
        """The most memory of a GPU held so far."""
        return peak_device_bytes()

    def measure(self, seconds: float, windows: int = 5) -> list[float]:
        """Return the throughput, in examples per second, in each of several windows.

        Args:
            seconds: How long all windows together take, at least.
            windows: How many there are.
        """
        return [self._window(seconds / windows) for _ in range(windows)]

    def _window(self, seconds: float) -> float:
        examples = 0
        start = time.perf_counter()
        while True:
            examples += self._step(next(self._blocks))
            if time.perf_counter() - start < seconds:
                continue
            self._program.synchronize()
            return examples / (time.perf_counter() - start)

    def _timed_step(self) -> float:
        start = time.perf_counter()
        self._step(next(self._blocks))
        self._program.synchronize()
        return time.perf_counter() - start

    def _step(self, block: Block) -> int:
        size = len(next(leaves(block.arrays)))
        self._program.train(block.arrays, np.zeros(size, np.float32), block.count)
        return block.num_examples

    def _endless(self) -> Iterator[Block]:
        for epoch in counting():
            found = False
            # One at a time: gathering an epoch's examples belongs to the windows they are used in.
            for block in self._feed.epoch(epoch):
                # Left-overs have a shape of their own, whose compilation is not the question.
                if isinstance(block, Block):
                    found = True
                    yield block
            if not found:
                raise PlanError(
                    "at least one full batch of training examples",
                    "fewer examples than one update takes",
                    "Set a smaller batch.size or batch.accumulation.",
                    code="SLP-139",
                )


class RatePoint(NamedTuple):
    """One step of a learning-rate range test: the rate, and the smoothed loss after it."""

    rate: float
    loss: float


def learning_rate_range(
    task: Task, plan: Plan, data: Data, lowest: float, highest: float, updates: int
) -> list[RatePoint]:
    """Train with exponentially rising learning rates, and return the loss at each.

    rate_i = lowest * (highest / lowest) ** (i / (updates - 1)); it stops early once the loss is
    not finite or four times the smallest so far.

    Args:
        task: The task.
        plan: The plan; its schedule is not used.
        data: The task's data.
        lowest: The first rate.
        highest: The last rate.
        updates: How many updates at most.

    Source: L. N. Smith, 2017, "Cyclical Learning Rates for Training Neural Networks"
        (arXiv:1506.01186).
    """
    plan = plan.adapt({"runtime.steps_per_execution": 1, "runtime.loop": "slipstream"})
    data = prepared(data, plan).data
    feed = Feed(data.train, plan)
    _, program = _open(task, plan, data, feed)
    points: list[RatePoint] = []
    smallest = math.inf
    rates = np.geomspace(lowest, highest, updates)
    epochs = (block for epoch in counting() for block in feed.epoch(epoch))
    for rate, block in zip(rates, epochs, strict=False):
        _train(program, block, float(rate))
        program.synchronize()
        loss = program.read_metrics()["loss"]
        points.append(RatePoint(float(rate), loss))
        if not math.isfinite(loss) or loss > 4 * smallest:
            break
        smallest = min(smallest, loss)
    return points


def _train(program: Program, block: Block | Ragged, rate: float) -> None:
    if isinstance(block, Ragged):
        program.train_ragged(block.batches, rate)
    else:
        program.train(block.arrays, np.full(1, rate, np.float32), 1)


def _open(task: Task, plan: Plan, data: Data, feed: Feed) -> tuple[Built, Program]:
    built = build(task, plan, data, plan.schedule.peak)
    if built.phases is not None and plan.transfer.frozen != 1.0:
        # What lasts longer is measured: all of the model learns.
        built.phases.change(feed, data.train)
    return built, open_for(built, plan, feed)
