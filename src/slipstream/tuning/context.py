"""What every stage of tuning is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slipstream.errors import InputError
from slipstream.files import write_text
from slipstream.measure import messages
from slipstream.measure.again import once_more
from slipstream.measure.manager import Failed
from slipstream.measure.messages import TrainingProgress
from slipstream.measure.pool import WorkerPool
from slipstream.plan import Plan
from slipstream.progress import Listener
from slipstream.record import (
    METRICS_FILE,
    RECORD_FILE,
    Record,
    point_to_line,
    read_record,
    write_record,
)
from slipstream.task import TaskFacts

# Seeds of tuning are not those of the confirmation: what is chosen on a seed is not judged on it.
TUNING_SEED = 1_000


@dataclass(frozen=True)
class Context:
    """What every stage of tuning is given.

    Args:
        facts: The task.
        folder: The study's folder.
        pool: One warm worker for each backend.
        listener: Told what happens.
    """

    facts: TaskFacts
    folder: Path
    pool: WorkerPool
    listener: Listener

    def train(
        self,
        plan: Plan,
        *,
        limit_seconds: float | None = None,
        give_up: Callable[[TrainingProgress], bool] | None = None,
    ) -> Record | Failed:
        """Train in the warm worker of the plan's backend; once more if that is killed meanwhile.

        A training that nobody may give up is noted in the study's folder: when an interrupted
        study goes on, it is not done again.

        Args:
            plan: The plan, its seed included.
            limit_seconds: Clock seconds after which it ends.
            give_up: Told where the training is; True ends it.
        """
        if give_up is not None:
            return once_more(lambda: self._train(plan, limit_seconds, give_up))
        folder = self.folder / "tuning" / f"{plan.digest()}-{limit_seconds or 0:.0f}"
        if (folder / RECORD_FILE).exists():
            return read_record(folder)
        answer = once_more(lambda: self._train(plan, limit_seconds, lambda _: False))
        if isinstance(answer, Record):
            # The record comes last: where it is, all is there.
            write_text(folder / METRICS_FILE, "".join(map(point_to_line, answer.points)))
            write_record(answer, folder)
        return answer

    def _train(
        self,
        plan: Plan,
        limit_seconds: float | None,
        give_up: Callable[[TrainingProgress], bool],
    ) -> Record | Failed:
        worker = self.pool.get(plan.runtime.backend)
        if isinstance(worker, Failed):
            return worker
        request = messages.Train(plan=plan, limit_seconds=limit_seconds)
        try:
            answer = worker.train(
                request, lambda told: isinstance(told, TrainingProgress) and give_up(told)
            )
        except InputError as error:
            # Task and data were looked at before: this plan has no place in this model.
            return Failed("error", str(error))
        return answer if isinstance(answer, Failed) else answer.record

    def tolerance(self, value: float) -> float:
        """Return how much of the monitor is within its own chance, for a value of it.

        For a share p of N examples its standard error, sqrt(p * (1 - p) / N); else 1 %.
        """
        if "acc" in self.facts.monitor and 0.0 <= value <= 1.0:
            variance = max(value * (1.0 - value), 1e-4)
            return max(0.002, math.sqrt(variance / max(1, self.facts.num_validation)))
        # Of a loss of 0 one per cent is nothing: what is smaller than this is nothing too.
        return max(0.01 * abs(value), 1e-6)

    def shortfall(self, value: float | None, wanted: float) -> float:
        """Return by how much a value of the monitor misses what is wanted; at most 0 if met."""
        if value is None or not math.isfinite(value):
            return math.inf
        return value - wanted if self.facts.mode == "min" else wanted - value


@dataclass
class Deadline:
    """A share of the budget that counts down.

    Args:
        seconds: How long it is.
        gone: How much of it is gone when it begins to count.
    """

    seconds: float
    gone: float = 0.0

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds - self.gone

    @property
    def left(self) -> float:
        """Seconds left; below 0 when it is over."""
        return self._end - time.monotonic()

    @property
    def fraction(self) -> float:
        """How much of it is gone, from 0 to 1."""
        if self.seconds <= 0:
            return 1.0
        return min(1.0, max(0.0, 1.0 - self.left / self.seconds))
