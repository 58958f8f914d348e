"""The Learn stage: which optimizer, schedule, batch size and duration get there first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import Trial, TrialState

from slipstream.measure.manager import Failed
from slipstream.measure.messages import TrainingProgress
from slipstream.plan import Plan, Value
from slipstream.progress import Step
from slipstream.record import JsonModel, Record
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import TUNING_SEED, Context, Deadline
from slipstream.tuning.finals import Tried, run_finals
from slipstream.tuning.journal import (
    JOURNAL_FILE,
    RANGES,
    ROW,
    STUDY_NAME,
    TRIED,
    TrialRow,
    open_study,
    refuse,
)
from slipstream.tuning.objective import score
from slipstream.tuning.portfolio import Portfolio
from slipstream.tuning.rates import RateRange
from slipstream.tuning.runtime_values import RuntimeResult

# However short the budget, so many plans are tried, each with time to compile and to begin.
FEWEST_TRIALS = 4
SHORTEST_CAP_SECONDS = 15.0
# What is kept of the stage's time for running the finalists on more seeds.
FINALS_SHARE = 0.35
# So many trials finish before TPE proposes from what is known of them.
STARTUP_TRIALS = 16
# A trial that is this much slower than the best so far cannot win any more.
HOPELESS = 1.6


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
        self._portfolio = Portfolio(context, baselines, runtime)
        self._cap = max(SHORTEST_CAP_SECONDS, deadline.seconds / 4)
        self._rows: list[TrialRow] = []
        self._tried: list[Tried] = []
        self._asked = 0

    def run(self) -> LearnResult:
        study, storage = open_study(self._context.folder / JOURNAL_FILE)
        interrupted = self._take_up(study, storage)
        if RANGES not in study.user_attrs:
            self._portfolio.test_ranges(self._deadline)
            found = self._portfolio.ranges.items()
            study.set_user_attr(RANGES, {name: one.model_dump(mode="json") for name, one in found})
        for trial in interrupted:
            self._one_trial(study, trial)
        while self._goes_on():
            self._one_trial(study, self._next(study))
        best, mean_score = run_finals(
            self._context, self._tried, self._score, self._cap, self._deadline
        )
        return LearnResult(
            trials=tuple(self._rows),
            ranges=self._portfolio.ranges,
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

    def _take_up(self, study: optuna.Study, storage: JournalStorage) -> list[Trial]:
        """Go on where an interrupted search stopped: its journal holds every finished trial.

        Returns the trials that the interruption hit: they are run again, as themselves.
        """
        interrupted: list[Trial] = []
        self._asked = len(study.trials)
        for trial in study.trials:
            if trial.state == TrialState.RUNNING:
                if not _is_noted(trial):
                    study_id = storage.get_study_id_from_name(STUDY_NAME)
                    known = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
                    interrupted.append(Trial(study, known))
                    continue
                _tell_end(study, trial)
            if ROW in trial.user_attrs:
                self._rows.append(TrialRow.model_validate(trial.user_attrs[ROW]))
            if TRIED in trial.user_attrs:
                self._tried.append(Tried.model_validate(trial.user_attrs[TRIED]))
        for name, found in study.user_attrs.get(RANGES, {}).items():
            self._portfolio.ranges[name] = RateRange.model_validate(found)
        return interrupted

    def _next(self, study: optuna.Study) -> Trial:
        """Begin the next trial.

        Its parameters follow from its number and from what is known of those before, and they are
        written down in one piece: a search that was interrupted, wherever that was, asks for the
        trials that it would have asked for.
        """
        self._asked += 1
        if not any(trial.state == TrialState.WAITING for trial in study.trials):
            first, number = self._portfolio.first_trials(), len(study.trials)
            chosen = first[number] if number < len(first) else self._proposed(study, number)
            study.enqueue_trial(chosen)
        return study.ask()

    def _proposed(self, study: optuna.Study, number: int) -> dict[str, Any]:
        """Return the parameters that TPE proposes, on a copy of the study in memory."""
        sampler = optuna.samplers.TPESampler(
            seed=TUNING_SEED + number, n_startup_trials=STARTUP_TRIALS
        )
        copy = optuna.create_study(sampler=sampler)
        copy.add_trials([trial for trial in study.trials if trial.state.is_finished()])
        return self._parameters(copy.ask())

    def _parameters(self, trial: Trial) -> dict[str, Any]:
        try:
            return self._suggested(trial)
        except ValueError as error:
            # Optuna keeps to the choices that a trial of the same search began with.
            journal = self._context.folder / JOURNAL_FILE
            refuse(journal, f"one of a search among other choices ({str(error)[:200]!r})")

    def _suggested(self, trial: Trial) -> dict[str, Any]:
        longest = max(2, self._portfolio.longest)
        names = [recipe.name for recipe in self._portfolio.recipes]
        return {
            "recipe": trial.suggest_categorical("recipe", names),
            "runtime": trial.suggest_categorical("runtime", self._portfolio.runtimes),
            "batch": trial.suggest_categorical("batch", self._portfolio.batches),
            "rate_factor": trial.suggest_float("rate_factor", 0.1, 10.0, log=True),
            "epochs": trial.suggest_int("epochs", 1, longest, log=True),
        }

    def _one_trial(self, study: optuna.Study, trial: Trial) -> None:
        parameters = self._parameters(trial)
        name = parameters["recipe"]
        plan = self._portfolio.plan(**parameters)
        if plan is None:
            study.tell(trial, state=TrialState.FAIL)
            return
        record = self._train(plan)
        value = self._score(record)
        trial.set_user_attr(ROW, self._note(trial.number, name, plan, record, value))
        if isinstance(record, Failed):
            study.tell(trial, state=TrialState.FAIL)
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


def _is_noted(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether all is known of a trial that was run."""
    if ROW not in trial.user_attrs:
        return False
    row = TrialRow.model_validate(trial.user_attrs[ROW])
    return TRIED in trial.user_attrs or not math.isfinite(row.seconds_to_target)


def _tell_end(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Tell the end of a trial that was noted just before an interruption."""
    score = TrialRow.model_validate(trial.user_attrs[ROW]).score
    if math.isfinite(score):
        study.tell(trial.number, score)
    else:
        study.tell(trial.number, state=TrialState.FAIL)


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
