"""The Learn stage: which optimizer, schedule, batch size and duration get there first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from slipstream.errors import PlanError
from slipstream.measure.manager import Failed
from slipstream.measure.messages import TrainingProgress
from slipstream.plan import Plan, Value
from slipstream.progress import Step
from slipstream.record import JsonModel, Record
from slipstream.techniques import Recipe, get, get_recipe, recipes
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import TUNING_SEED, Context, Deadline
from slipstream.tuning.objective import score
from slipstream.tuning.quick_runtimes import quick_runtimes
from slipstream.tuning.rates import RateRange, find_range
from slipstream.tuning.runtime_values import RuntimeResult

JOURNAL_FILE = "optuna.journal"
# What the journal keeps of a trial beside its parameters and value.
ROW, TRIED, RANGES = "row", "tried", "ranges"
# However short the budget, so many plans are tried, each with time to compile and to begin.
FEWEST_TRIALS = 4
SHORTEST_CAP_SECONDS = 15.0
NUM_FINALISTS = 3
EXTRA_SEEDS = 2
# What is kept of the stage's time for running the finalists on more seeds.
FINALS_SHARE = 0.35
# A trial that is this much slower than the best so far cannot win any more.
HOPELESS = 1.6
# The tuned baseline itself, on the runtimes that were found.
BASELINE_RECIPE = "plain_momentum"
# Runs of fewer updates than this get a shorter window for BatchNormalization's averages.
MANY_UPDATES = 5_000


class TrialRow(JsonModel):
    """One trial of the study."""

    number: int
    recipe: str
    changes: dict[str, Value]
    score: float
    seconds_to_target: float
    best_value: float | None
    outcome: str


class LearnResult(JsonModel):
    """What the stage found.

    Args:
        trials: All trials, in order.
        ranges: What the range tests told, by optimizer.
        plan: The best plan, or None where no trial met the target.
        score: Its score over all tuning seeds.
        gap: Training metric minus validation metric at its end, in the sense of overfitting.
    """

    trials: tuple[TrialRow, ...]
    ranges: dict[str, RateRange]
    plan: Plan | None
    score: float
    gap: float


class Tried(JsonModel):
    """A trial that met the target, as the study's journal keeps it."""

    plan: Plan
    score: float
    clock_seconds: float
    gap: float


def learn(
    context: Context,
    baselines: Baselines,
    runtime: RuntimeResult,
    deadline: Deadline,
    last: Deadline,
) -> LearnResult:
    """Search for the plan that meets the target first.

    An Optuna study, seeded with a portfolio of recipes at their usual rates and at those that
    range tests suggest; then TPE proposes. The best few are run on further seeds, and the one
    with the smallest mean score wins.

    Args:
        context: The study.
        baselines: What is to be beaten.
        runtime: The fastest runtime at each batch size.
        deadline: The share of the budget.
        last: The end of the budget: as long as no plan met the target there is nothing to prove,
            and the search goes on until then.

    Source: T. Akiba et al., 2019, "Optuna" (arXiv:1907.10902); J. Bergstra et al., 2011 (TPE).
    """
    return _Learner(context, baselines, runtime, deadline, last).run()


class _Learner:
    def __init__(
        self,
        context: Context,
        baselines: Baselines,
        runtime: RuntimeResult,
        deadline: Deadline,
        last: Deadline,
    ) -> None:
        self._context = context
        self._baselines = baselines
        self._deadline = deadline
        self._last = last
        self._own = baselines.as_given.edit({"runtime.loop": "slipstream"})
        self._runtimes = quick_runtimes(runtime) or {self._own.runtime.backend: {}}
        self._batches = runtime.batch_sizes or (self._own.batch.size,)
        self._cap = max(SHORTEST_CAP_SECONDS, deadline.seconds / 4)
        self._ranges: dict[str, RateRange] = {}
        self._rows: list[TrialRow] = []
        self._tried: list[Tried] = []
        self._asked = 0

    def run(self) -> LearnResult:
        study = _open_study(self._context.folder / JOURNAL_FILE)
        self._take_up(study)
        self._test_ranges(study)
        self._enqueue_portfolio(study)
        while self._goes_on():
            self._one_trial(study)
        best, mean_score = self._finals()
        return LearnResult(
            trials=tuple(self._rows),
            ranges=self._ranges,
            plan=best.plan if best else None,
            score=mean_score,
            gap=best.gap if best else 0.0,
        )

    def _goes_on(self) -> bool:
        if self._deadline.fraction < 1 - FINALS_SHARE:
            return True
        if len(self._rows) < FEWEST_TRIALS and self._asked < 10 * FEWEST_TRIALS:
            return True
        return not self._tried and self._last.left > 0

    def _take_up(self, study: optuna.Study) -> None:
        """Go on where an interrupted search stopped: its journal holds every finished trial."""
        for trial in study.trials:
            if ROW in trial.user_attrs:
                self._rows.append(TrialRow.model_validate(trial.user_attrs[ROW]))
            if TRIED in trial.user_attrs:
                self._tried.append(Tried.model_validate(trial.user_attrs[TRIED]))
            if trial.state == optuna.trial.TrialState.RUNNING:
                # What the interruption hit is tried again.
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                asked_for = trial.params or trial.system_attrs.get("fixed_params")
                if asked_for:
                    study.enqueue_trial(asked_for)
        for name, found in study.user_attrs.get(RANGES, {}).items():
            self._ranges[name] = RateRange.model_validate(found)

    def _test_ranges(self, study: optuna.Study) -> None:
        if RANGES in study.user_attrs:
            return
        plan = self._on(next(iter(self._runtimes)), self._usual_batch())
        plan = plan.edit({"seeds.seed": TUNING_SEED})
        tested = 0
        for recipe in recipes():
            if tested * 4 > len(recipes()) or self._deadline.fraction > 0.2:
                break
            made = _applied(recipe.name, plan, self._context)
            if made is None or made.optimizer.name in self._ranges:
                continue
            found = find_range(self._context, made)
            tested += 1
            if found is not None:
                self._ranges[made.optimizer.name] = found
                text = f"{made.optimizer.name}: rates up to {found.largest:.3g} are worth trying"
                self._context.listener(Step("learn", text, self._deadline.fraction))
        kept = {name: found.model_dump(mode="json") for name, found in self._ranges.items()}
        study.set_user_attr(RANGES, kept)

    def _usual_batch(self) -> int:
        """The batch size at which range tests and the portfolio begin: not the largest."""
        return self._batches[min(1, len(self._batches) - 1)]

    def _on(self, runtime: str, batch: int) -> Plan:
        """The task's own plan on one of the runtimes, at a batch size."""
        return self._own.edit({**self._runtimes[runtime], "batch.size": batch})

    def _enqueue_portfolio(self, study: optuna.Study) -> None:
        if study.trials:
            return
        # The shorter runs go to the runtime that is quickest off the mark.
        for share, runtime in zip((0.35, 0.2), cycle(self._runtimes), strict=False):
            for recipe in recipes():
                study.enqueue_trial(
                    {
                        "recipe": recipe.name,
                        "runtime": runtime,
                        "batch": self._usual_batch(),
                        "rate_factor": self._first_factor(recipe),
                        "epochs": max(1, round(self._longest() * share)),
                    }
                )

    def _first_factor(self, recipe: Recipe) -> float:
        """The baseline's best rate for the baseline's own recipe; else the recipe's rate."""
        if recipe.name != BASELINE_RECIPE:
            return 1.0
        factor = self._baselines.tuned.schedule.peak / float(recipe.settings["schedule.peak"])
        return min(10.0, max(0.1, factor))

    def _longest(self) -> int:
        return self._baselines.as_given.duration.epochs

    def _one_trial(self, study: optuna.Study) -> None:
        self._asked += 1
        trial = study.ask()
        name = trial.suggest_categorical("recipe", [recipe.name for recipe in recipes()])
        runtime = trial.suggest_categorical("runtime", list(self._runtimes))
        batch = trial.suggest_categorical("batch", self._batches)
        factor = trial.suggest_float("rate_factor", 0.1, 10.0, log=True)
        epochs = trial.suggest_int("epochs", 1, max(2, self._longest()), log=True)
        plan = self._plan(name, self._on(runtime, batch), factor, epochs)
        if plan is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        record = self._train(plan)
        value = self._score(record)
        trial.set_user_attr(ROW, self._note(trial.number, name, plan, record, value))
        if isinstance(record, Failed):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        if math.isfinite(record.seconds_to(self._baselines.target)):
            tried = Tried(
                plan=plan,
                score=value,
                clock_seconds=record.timings.clock_seconds,
                gap=_gap(self._context, record),
            )
            trial.set_user_attr(TRIED, tried.model_dump(mode="json"))
            self._tried.append(tried)
        study.tell(trial, value)

    def _plan(self, recipe: str, base: Plan, factor: float, epochs: int) -> Plan | None:
        plan = _applied(recipe, base, self._context)
        if plan is None:
            return None
        peak = plan.schedule.peak * factor
        known = self._ranges.get(plan.optimizer.name)
        if known is not None:
            peak = min(peak, known.largest)
        evaluations = 4 if epochs <= 2 else 2 if epochs <= 4 else 1
        return plan.edit(
            {
                "schedule.peak": float(f"{peak:.4g}"),
                "duration.epochs": epochs,
                "duration.evaluations_per_epoch": evaluations,
                "seeds.seed": TUNING_SEED,
                **self._for_a_short_run(plan, epochs),
            }
        )

    def _for_a_short_run(self, plan: Plan, epochs: int) -> dict[str, Value]:
        """BatchNormalization's averages must keep up with weights that move fast."""
        facts = self._context.facts
        updates = epochs * facts.num_train / (plan.batch.size * plan.batch.accumulation)
        technique = get("batch_norm_momentum")
        if updates > MANY_UPDATES or technique.applies(plan, facts) is not None:
            return {}
        changed = technique.apply(plan, facts).flat()
        return {key: changed[key] for key in technique.keys}

    def _train(self, plan: Plan) -> Record | Failed:
        best = min((tried.score for tried in self._tried), default=math.inf)
        hopeless = max(1.0, HOPELESS * best)

        def give_up(told: TrainingProgress) -> bool:
            share = told.update / max(1, told.total_updates)
            # What is over soon may go on: its quality is worth knowing.
            return told.seconds > hopeless and share < 0.8

        limit = min(self._cap, max(SHORTEST_CAP_SECONDS, self._deadline.left))
        return self._context.train(plan, limit_seconds=limit, give_up=give_up)

    def _score(self, record: Record | Failed) -> float:
        if isinstance(record, Failed):
            return math.inf
        target, quality = self._baselines.target, self._baselines.quality
        return score(self._context, record, target, quality, self._cap)

    def _note(
        self, number: int, recipe: str, plan: Plan, record: Record | Failed, value: float
    ) -> dict[str, Any]:
        if isinstance(record, Failed):
            seconds, best, outcome = math.inf, None, record.message
        else:
            seconds = record.seconds_to(self._baselines.target)
            best, outcome = record.best_value, _outcome(record, seconds)
        row = TrialRow(
            number=number,
            recipe=recipe,
            changes=_told(plan),
            score=value,
            seconds_to_target=seconds,
            best_value=best,
            outcome=outcome,
        )
        self._rows.append(row)
        reached = f"target after {seconds:.2f} s" if math.isfinite(seconds) else row.outcome
        text = f"trial {number}: {recipe}, {_in_words(row.changes)}: {reached}"
        self._context.listener(Step("learn", text, self._deadline.fraction))

        return row.model_dump(mode="json")

    def _finals(self) -> tuple[Tried | None, float]:
        """Run the best few on further seeds; returns the best of them and its mean score."""
        finalists = _distinct(sorted(self._tried, key=lambda tried: tried.score))[:NUM_FINALISTS]
        scores = [[tried.score] for tried in finalists]
        for extra in range(1, EXTRA_SEEDS + 1):
            for tried, known in zip(finalists, scores, strict=True):
                if self._deadline.left < tried.clock_seconds and extra > 1:
                    continue
                seeded = tried.plan.edit({"seeds.seed": TUNING_SEED + extra})
                record = self._context.train(seeded, limit_seconds=self._cap)
                known.append(min(self._score(record), 20 * self._cap))
                text = f"finalist {tried.plan.optimizer.name} on another seed: score "
                self._context.listener(
                    Step("learn", f"{text}{known[-1]:.2f}", self._deadline.fraction)
                )
        means = [statistics.fmean(known) for known in scores]
        if not means:
            return None, math.inf
        best = min(range(len(means)), key=means.__getitem__)
        return finalists[best], means[best]


def _open_study(journal: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=TUNING_SEED, n_startup_trials=16)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="learn",
        sampler=sampler,
        load_if_exists=True,
    )


def _applied(recipe: str, plan: Plan, context: Context) -> Plan | None:
    try:
        return get_recipe(recipe).apply(plan, context.facts)
    except PlanError:
        return None


def _distinct(tried: list[Tried]) -> list[Tried]:
    """One of each backend, recipe and epochs: finalists that are nearly the same teach nothing."""
    seen: dict[tuple[Any, ...], Tried] = {}
    for entry in tried:
        plan = entry.plan
        key = (plan.runtime.backend, plan.optimizer.name, plan.schedule.name, plan.duration.epochs)
        seen.setdefault(key, entry)
    return list(seen.values())


def _told(plan: Plan) -> dict[str, Value]:
    keys = (
        "optimizer.name",
        "schedule.name",
        "schedule.peak",
        "batch.size",
        "duration.epochs",
        "runtime.backend",
    )
    flat = plan.flat()
    return {key: flat[key] for key in keys}


def _in_words(changes: Mapping[str, Value]) -> str:
    return (
        f"rate {changes['schedule.peak']:.3g}, batch {changes['batch.size']}, "
        f"{changes['duration.epochs']} epochs on {changes['runtime.backend']}"
    )


def _outcome(record: Record, seconds: float) -> str:
    if record.failure is not None:
        return record.failure.kind.lower()
    if not math.isfinite(seconds):
        unfinished = record.outcome in ("stopped_early", "limit_reached")
        return "given up" if unfinished else "target missed"
    return "target met"


def _gap(context: Context, record: Record) -> float:
    """By how much training looks better than validation at the end, in tolerances."""
    name = context.facts.monitor
    validation = record.final_values.get(name)
    training = record.final_values.get(name.removeprefix("val_"))
    if validation is None or training is None:
        return 0.0
    behind = validation - training if context.facts.mode == "min" else training - validation
    return behind / context.tolerance(validation)
