"""What each technique and each recipe does on a built-in task, measured and stored for its page.

    python bench/effects.py                    # all that have no stored effect yet
    python bench/effects.py --minutes 6        # as many as begin within so long; call again
    python bench/effects.py warmup tabular     # these, anew
    python bench/effects.py --list             # what is measured where

A technique is put onto a fixed plan on a cheap task (`effect_grounds.py`) and raced against that
plan without it, paired by seed, in turns. Runs share a warm process of their backend, after a run
that does not count, except where starting or compiling is the question. A recipe is raced against
the task as given and against SGD with momentum at the best of several rates, all three on one
runtime. Each interval holds with 95 % by itself. Effects go to
src/slipstream/techniques/effects; write the page anew with `python -m slipstream.pages`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from effect_grounds import RECIPE_LENGTHS, SPECIAL, TORCH, USUAL, Ground
from slipstream.commands.look import launch_for, look
from slipstream.environment import environment
from slipstream.errors import InputError, PlanError
from slipstream.measure import Failed, Launch, Worker, WorkerPool
from slipstream.measure.interleave import failed_record, interleave
from slipstream.measure.messages import Train, Trained
from slipstream.plan import Plan
from slipstream.record import Record
from slipstream.task import TaskFacts
from slipstream.techniques import Recipe, Technique, all_techniques, case_recipes
from slipstream.techniques._effects import FOLDER, Comparison, Effect, file_of, store_effect
from slipstream.verdict import compare

BASELINE = "baseline"
AT_ONCE = 6  # Techniques that share the runs of one baseline.
LIMIT_SECONDS = 90.0
RATES = (0.01, 0.03, 0.1, 0.3)
TUNING_SEEDS = (1001, 1002, 1003)
RECIPE_SEEDS = 5


def main() -> None:
    """Measure what was asked for, or what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="techniques and recipes to measure anew")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--list", action="store_true", help="say what is measured where")
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    end = time.monotonic() + 60 * chosen.minutes
    study = Study(chosen.out)
    techniques = [t for t in all_techniques() if wanted("technique", t.name, chosen)]
    recipes = [r for r in case_recipes() if wanted("recipe", r.name, chosen)]
    for ground, group in study.grouped(techniques):
        for start in range(0, len(group), AT_ONCE):
            part = group[start : start + AT_ONCE]
            print(f"{ground.name}: {', '.join(t.name for t in part)}", flush=True)
            if not chosen.list:
                study.measure(ground, part)
            if time.monotonic() > end:
                return
    for recipe in recipes:
        print(f"{recipe.task}: recipe {recipe.name}", flush=True)
        if not chosen.list:
            study.race(recipe)
        if time.monotonic() > end:
            return


def wanted(kind: str, name: str, chosen: argparse.Namespace) -> bool:
    """Whether something is to be measured now."""
    if chosen.names:
        return name in chosen.names
    return not file_of(kind, name, chosen.out).is_file()


class Study:
    """Looks at tasks once, makes runs, stores effects.

    Args:
        folder: Where effects are stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._facts: dict[str, TaskFacts] = {}

    def facts(self, task: str) -> TaskFacts:
        """Return what is known of a task."""
        if task not in self._facts:
            self._facts[task] = look(launch_for(task), "torch")[0]
        return self._facts[task]

    def grouped(self, techniques: Sequence[Technique]) -> Iterator[tuple[Ground, list[Technique]]]:
        """Yield each ground with the techniques that go onto it; store why others cannot."""
        groups: dict[str, tuple[Ground, list[Technique]]] = {}
        for technique in techniques:
            ground, reason = self._ground_of(technique)
            if ground is None:
                self._store("technique", technique.name, None, {}, [Comparison(
                    against="", failure=f"on every built-in task, {reason}")])  # fmt: skip
                print(f"{technique.name}: {reason}", flush=True)
                continue
            groups.setdefault(ground.name, (ground, []))[1].append(technique)
        yield from groups.values()

    def measure(self, ground: Ground, techniques: Sequence[Technique]) -> None:
        """Race plans with one technique each against the ground's own, and store what came."""
        facts, plan = self.facts(ground.task), ground.plan
        plans = {t.name: t.apply(plan, facts) for t in techniques}
        records = self._run(ground, {BASELINE: plan, **plans}, range(ground.num_seeds))
        target = ground.target or facts.target
        assert target is not None
        for name, made in plans.items():
            changed = {key: mine for key, (mine, _) in made.difference(plan).items()}
            comparison = judged("the same without it", records[name], records[BASELINE], target)
            self._store("technique", name, ground, changed, [comparison])

    def race(self, recipe: Recipe) -> None:
        """Race a recipe against both baselines on one runtime, and store what came."""
        facts = self.facts(recipe.task)
        given = facts.as_given.adapt({**TORCH, **RECIPE_LENGTHS.get(recipe.task, {})})
        sgd = {"optimizer.name": "sgd", "optimizer.momentum": 0.9}
        ground = Ground(recipe.task, "all on PyTorch with Slipstream's loop", recipe.task)
        sweep = {f"rate_{rate:g}": given.adapt({**sgd, "schedule.peak": rate}) for rate in RATES}
        found = self._run(ground, sweep, TUNING_SEEDS[:1])
        sign = -1 if facts.mode == "max" else 1
        best = min(sweep, key=lambda side: of_sweep(found[side][0], facts.target, sign))
        reached = self._run(ground, {best: sweep[best]}, TUNING_SEEDS)[best]
        values = [record.best_value for record in reached if record.best_value is not None]
        target = facts.target or (min(values) if facts.mode == "max" else max(values))
        sides = {
            "as_given": given,
            "tuned": sweep[best],
            recipe.name: recipe.apply(given, facts),
        }
        records = self._run(ground, sides, range(RECIPE_SEEDS))
        rate = best.removeprefix("rate_")
        mine = records[recipe.name]
        changed = {key: new for key, (new, _) in sides[recipe.name].difference(given).items()}
        comparisons = [
            judged("the task as given", mine, records["as_given"], target),
            judged(f"SGD with momentum at its best rate ({rate})", mine, records["tuned"], target),
        ]
        self._store("recipe", recipe.name, ground, changed, comparisons)

    def _ground_of(self, technique: Technique) -> tuple[Ground | None, str]:
        reasons = []
        for ground in (SPECIAL[technique.name],) if technique.name in SPECIAL else USUAL:
            facts, plan = self.facts(ground.task), ground.plan
            reason = technique.applies(plan, facts)
            try:
                if reason is None and technique.apply(plan, facts) == plan:
                    reason = "the plan has it already"
            except PlanError as error:
                reason = error.came if error.came != "a contradiction" else error.mend
            if reason is None:
                return ground, ""
            reasons.append(reason.rstrip("."))
        return None, reasons[0]

    def _run(
        self, ground: Ground, sides: Mapping[str, Plan], seeds: Sequence[int]
    ) -> dict[str, list[Record]]:
        """Run every side on every seed, in turns."""
        facts, launch = self.facts(ground.task), launch_for(ground.task)
        records: dict[str, list[Record]] = {side: [] for side in sides}
        warm: set[str] = set()
        with WorkerPool(launch) as pool:
            for job in interleave(sides, seeds, Path()):
                backend = job.plan.runtime.backend
                with _worker(launch, pool, backend, ground.is_cold) as worker:
                    if backend not in warm and not ground.is_cold:
                        _train(worker, Train(plan=job.plan, limit_updates=60))
                        warm.add(backend)
                    request = Train(plan=job.plan, evaluate_test=True, limit_seconds=LIMIT_SECONDS)
                    answer = _train(worker, request)
                failed = isinstance(answer, Failed)
                record = failed_record(job, facts, answer) if failed else answer.record
                records[job.side].append(record)
                best = "failed" if record.best_value is None else f"{record.best_value:.4f}"
                seconds = record.timings.clock_seconds
                print(f"  {job.side} {job.plan.seeds.seed}: {best} in {seconds:.1f} s", flush=True)
        return records

    def _store(
        self,
        kind: str,
        name: str,
        ground: Ground | None,
        changed: dict[str, str | int | float | bool],
        comparisons: Sequence[Comparison],
    ) -> None:
        here = environment()
        shown = ("keras", "torch", "tensorflow", "jax", "slipstream")
        effect = Effect(
            kind=kind,
            name=name,
            task=ground.task if ground else "",
            ground=ground.words if ground else "",
            changes=changed,
            comparisons=tuple(comparisons),
            machine=f"{here.machine['processor']}, {here.machine['logical_cores']} cores",
            versions={key: here.versions[key] for key in shown if key in here.versions},
            measured_on=datetime.date.today().isoformat(),
        )
        store_effect(effect, self._folder)
        for sentence in effect.sentences():
            print(f"  {name}: {sentence}", flush=True)


@contextlib.contextmanager
def _worker(launch: Launch, pool: WorkerPool, backend: str, is_cold: bool) -> Iterator[Worker]:
    """Within it a worker has loaded the task: a fresh one, or the warm one of its backend."""
    if not is_cold:
        worker = pool.get(backend)
        if isinstance(worker, Failed):
            sys.exit(f"{backend}: {worker.message}")
        yield worker
        return
    with launch.worker(backend) as worker:
        worker.open()
        yield worker


def _train(worker: Worker, request: Train) -> Trained | Failed:
    """Train; a plan that the model cannot have is a failure like others."""
    try:
        return worker.train(request)
    except InputError as error:
        return Failed("error", f"it needs {error.expected}; here is {error.came}".rstrip("."))


def of_sweep(record: Record, target: float | None, sign: int) -> tuple[float, float]:
    """Return what is least for the best run: the time to the target, then the best value."""
    seconds = record.seconds_to(target) if target is not None else 0.0
    best = record.best_value
    return seconds, sign * best if best is not None else float("inf")


def judged(
    against: str, mine: Sequence[Record], others: Sequence[Record], target: float
) -> Comparison:
    """Return the comparison of two sides; where all runs of one failed, why."""
    for side in (mine, others):
        if all(record.failure is not None for record in side):
            failure = side[0].failure
            assert failure is not None
            kind = "" if failure.kind == "error" else f"{failure.kind}: "
            return Comparison(against=against, failure=f"{kind}{failure.message}".rstrip("."))
    return Comparison(against=against, verdict=compare(mine, others, target=target))


if __name__ == "__main__":
    main()
