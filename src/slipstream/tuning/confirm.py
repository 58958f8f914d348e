"""The Confirm stage: the winner against both baselines, side by side, on seeds never tuned on."""

from __future__ import annotations

from pathlib import Path

from slipstream.measure.changed import refuse_changed
from slipstream.measure.interleave import Job, Run, interleave, run_interleaved
from slipstream.measure.manager import Launch
from slipstream.measure.messages import Happening, TrainingProgress
from slipstream.plan import Plan
from slipstream.progress import Listener, StageName, Step
from slipstream.record import Record
from slipstream.task import TaskFacts
from slipstream.verdict import Verdict, compare

AS_GIVEN, TUNED, WINNER = "as_given", "tuned_baseline", "winner"


def confirm(
    launch: Launch,
    facts: TaskFacts,
    sides: dict[str, Plan],
    num_seeds: int,
    folder: Path,
    listener: Listener,
    *,
    limit_seconds: float | None = None,
    stage: StageName = "confirm",
) -> dict[str, list[Record]]:
    """Run every side on every seed, interleaved, each run in a fresh process.

    The test split is read once, at the end of each run.

    Args:
        launch: How workers are started.
        facts: The task.
        sides: Plans by name.
        num_seeds: Seeds 0, 1, ... of each side.
        folder: Where the run folders are.
        listener: Told what happens.
        limit_seconds: Clock seconds after which a run is ended; it then counts as not arrived.
        stage: The stage that the listener is told of.

    Returns:
        The records of each side.

    Raises:
        RecordError: Finished runs in the folder are of another task, data, plan or environment.
    """
    refuse_changed(folder, facts, sides)
    jobs = interleave(sides, range(num_seeds), folder, limit_seconds)
    records: dict[str, list[Record]] = {side: [] for side in sides}
    watch = _Watch(len(jobs), stage, listener)
    for run in run_interleaved(
        launch,
        facts,
        jobs,
        evaluate_test=True,
        on_start=watch.started,
        on_happening=watch.happened,
    ):
        records[run.job.side].append(run.record)
        watch.ended(run)
    return records


class _Watch:
    """Tells how far the runs are."""

    def __init__(self, num_jobs: int, stage: StageName, listener: Listener) -> None:
        self._num_jobs = num_jobs
        self._stage = stage
        self._listener = listener
        self._label = ""
        self._done = 0

    def started(self, job: Job) -> None:
        self._label = self._name(job)

    def happened(self, told: Happening) -> bool:
        if isinstance(told, TrainingProgress):
            part = told.update / max(1, told.total_updates)
            speed = f"{told.examples_per_second:.0f} examples/s"
            text = f"{self._label}: epoch {told.epoch:.1f}, {speed}"
            fraction = (self._done + part) / self._num_jobs
            self._listener(Step(self._stage, text, fraction, passing=True))
        return False

    def ended(self, run: Run) -> None:
        self._done += 1
        text = f"{self._name(run.job)}: {_result(run.record)}"
        self._listener(Step(self._stage, text, self._done / self._num_jobs))

    def _name(self, job: Job) -> str:
        # Nothing has won where a plan is taken apart.
        is_plan = self._stage == "ablate" and job.side == WINNER
        side = "the plan" if is_plan else job.side.replace("_", " ")
        return f"{side}, seed {job.plan.seeds.seed}"


def cut_in_words(record: Record) -> str:
    """Return where a run was cut: what it had reached by then is no quality of its plan."""
    epochs = f"{record.epochs:.3g} of {record.plan['duration']['epochs']} epochs"
    return f"cut off after {record.timings.clock_seconds:.1f} s, at {epochs}"


def judge_sides(
    records: dict[str, list[Record]], target: float, candidate: str = WINNER
) -> dict[str, Verdict]:
    """Return the verdict on the candidate against each other side.

    A gain is claimed only where every verdict says so (an intersection-union test): the chance of
    a false claim is that of the likeliest of them, so their number asks for no correction.
    """
    return {
        side: compare(records[candidate], records[side], target=target)
        for side in records
        if side != candidate
    }


def _result(record: Record) -> str:
    if record.failure is not None:
        return f"failed ({record.failure.kind}: {record.failure.message})"
    if record.is_cut:
        return cut_in_words(record)
    best = "no finite value" if record.best_value is None else f"{record.best_value:.4f}"
    return f"best {record.monitor} {best} in {record.timings.clock_seconds:.1f} s"
