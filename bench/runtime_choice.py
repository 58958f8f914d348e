"""How good the runtime stage's choice is: against every candidate there is, measured one by one.

    python bench/runtime_choice.py [--nets mlp cnn lstm transformer] [--out DIR]

For each net the search runs as `optimize` runs it (nothing remembered). Then every candidate of the
search's space at the task's own batch size is measured, and the choice and the best of them once
more, in turn, for longer. Prints seconds of the search, its choice, the best, and the ratio of
their projected seconds, for trainings of several lengths.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from slipstream.commands.look import as_given, launch_for, look
from slipstream.commands.optimize import RUNTIME_MOST_SECONDS
from slipstream.measure import Failed, Launch, installed_backends
from slipstream.measure.manager import Worker
from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.tuning.runtime import search_runtime
from slipstream.tuning.runtime_candidates import Candidate, Space

HERE = Path(__file__).parent
NETS = ("mlp", "cnn", "lstm", "transformer")
EPOCHS = (20,)
SHORT_SECONDS, LONG_SECONDS, ROUNDS, TURNS = 0.6, 2.0, 5, 2
BUILD_SECONDS = 20.0
SHORTEST_BUILD_SECONDS = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", default=NETS)
    parser.add_argument("--out", type=Path, default=Path("runs") / "bench_runtime_choice")
    chosen = parser.parse_args()
    for net in chosen.nets:
        examine(net, chosen.out / net)


def examine(net: str, folder: Path) -> None:
    launch = launch_for(f"{HERE / 'net_tasks.py'}:{net}", folder)
    facts, _ = look(launch)
    base = as_given(facts).edit({"runtime.loop": "slipstream", "runtime.steps_per_execution": 1})
    space = Space(facts, base, installed_backends(), allow_precision=True)
    # PyTorch first: it compiles nothing, and tells how long a build may take to be worth it.
    candidates = sorted(
        at_batch_size(space, base.batch.size), key=lambda c: c.options.backend, reverse=True
    )
    measured = dict(measure_all(launch, candidates, folder, facts))
    for epochs in EPOCHS:
        start = time.monotonic()
        result = search_runtime(
            launch.reference,
            facts,
            base,
            backends=installed_backends(),
            allow_precision=True,
            budget_seconds=RUNTIME_MOST_SECONDS,
            epochs_planned=epochs,
            log_folder=folder,
        )
        seconds = time.monotonic() - start
        row = result.best(base.batch.size)
        assert row is not None
        best = min(measured, key=lambda label: projected(measured[label], facts, epochs))
        candidates = {c.label: c for c in at_batch_size(space, base.batch.size)}
        again = in_turn(launch, {label: candidates[label] for label in {row.label, best}})
        ratio = projected(again[row.label], facts, epochs) / projected(again[best], facts, epochs)
        print(
            f"{net}, {epochs} epochs: {seconds:.0f} s for {len(result.rows)} candidates of "
            f"{len(measured)}; chosen: {row.label}; best: {best}; chosen / best {ratio:.3f}",
            flush=True,
        )


def at_batch_size(space: Space, size: int) -> list[Candidate]:
    """Return every candidate that can be reached from the first ones, at one batch size."""
    found: dict[Plan, Candidate] = {}
    waiting = [c for c in space.first() if c.options.batch_size == size]
    while waiting:
        candidate = waiting.pop()
        if candidate.plan in found or candidate.options.batch_size != size:
            continue
        found[candidate.plan] = candidate
        waiting += [neighbour for _, neighbour in space.neighbours(candidate.options)]
    return list(found.values())


def measure_all(
    launch: Launch, candidates: Iterable[Candidate], folder: Path, facts: TaskFacts
) -> Iterable[tuple[str, tuple[float, float]]]:
    """Yield compile seconds and throughput of each that runs; what is stored is not run again.

    A candidate that takes longer to build than the longest training takes with the best so far
    cannot be the best.
    """
    file = folder / "exhaustive.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    best = BUILD_SECONDS
    for backend, group in itertools.groupby(candidates, lambda c: c.options.backend):
        with contextlib.ExitStack() as stack:
            worker = None
            for candidate in group:
                if candidate.label not in known:
                    # One process for all of a backend, as long as it lives.
                    if worker is None or not worker.is_alive:
                        worker = stack.enter_context(launch.worker(backend, "exhaustive"))
                        worker.open()
                    limit = max(SHORTEST_BUILD_SECONDS, best)
                    known[candidate.label] = measure_in(worker, candidate, SHORT_SECONDS, limit)
                    file.write_text(json.dumps(known, indent=1))
                if known[candidate.label] is not None:
                    best = min(best, projected(known[candidate.label], facts, max(EPOCHS)))
                    yield candidate.label, tuple(known[candidate.label])


def measure(launch: Launch, candidate: Candidate, seconds: float) -> tuple[float, float] | None:
    """Return what `measure_in` does, in a fresh process."""
    with launch.worker(candidate.options.backend, "again") as worker:
        return None if isinstance(worker.open(), Failed) else measure_in(worker, candidate, seconds)


def measure_in(
    worker: Worker, candidate: Candidate, seconds: float, limit: float = BUILD_SECONDS
) -> tuple[float, float] | None:
    """Return compile seconds and the median throughput of a candidate, or None if it fails."""
    probed = worker.probe(candidate.plan, limit)
    if isinstance(probed, Failed):
        return None
    windows: list[float] = []
    while len(windows) < ROUNDS:
        answer = worker.measure(seconds, BUILD_SECONDS)
        if isinstance(answer, Failed):
            return None
        windows += answer.examples_per_second
    return probed.compile_seconds, statistics.median(windows)


def in_turn(launch: Launch, candidates: dict[str, Candidate]) -> dict[str, tuple[float, float]]:
    """Measure a few candidates again, in turn, so that a drift of the machine falls on all."""
    compiles: dict[str, list[float]] = {label: [] for label in candidates}
    speeds: dict[str, list[float]] = {label: [] for label in candidates}
    for turn in range(TURNS):
        for label in candidates if turn % 2 else reversed(candidates):
            answer = measure(launch, candidates[label], LONG_SECONDS)
            if answer is not None:
                compiles[label].append(answer[0])
                speeds[label].append(answer[1])
    return {
        label: (statistics.median(compiles[label]), statistics.median(speeds[label]))
        for label in candidates
    }


def projected(measured: tuple[float, float], facts: TaskFacts, epochs: int) -> float:
    """Return the seconds of a training of so many epochs."""
    compile_seconds, speed = measured
    return compile_seconds + epochs * facts.num_train / speed


if __name__ == "__main__":
    main()
