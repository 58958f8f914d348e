"""The main job: find a faster and better way to train a task on this machine, and prove it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from slipstream.ablation import PLAN, rows, variants
from slipstream.commands import _optimize_report as report_of
from slipstream.commands import _optimize_text as text_of
from slipstream.commands._optimize_proof import ProofTime
from slipstream.commands._optimize_values import (
    Ablation,
    Confirmation,
    FirstLook,
    OptimizeResult,
    OptimizeSettings,
    RunLimit,
    is_gain,
)
from slipstream.commands._writing import findings_of, values_of
from slipstream.commands.folders import claimed
from slipstream.commands.look import as_given, describe, in_words, launch_for, look
from slipstream.doctor import Finding
from slipstream.environment import environment
from slipstream.errors import TrainingError
from slipstream.measure import Launch, WorkerPool, installed_backends, require_backend
from slipstream.plan import Plan
from slipstream.progress import Listener, Notice, StageDone, StageName, StageStarted, Step, silent
from slipstream.record import Record
from slipstream.task import TaskFacts
from slipstream.techniques import get
from slipstream.tuning import confirm as confirming
from slipstream.tuning.baselines import Baselines, find_baselines
from slipstream.tuning.context import Context, Deadline
from slipstream.tuning.generalise import GeneraliseResult, generalise
from slipstream.tuning.learn import LearnResult, learn
from slipstream.tuning.runtime import search_runtime
from slipstream.tuning.runtime_memory import RuntimeMemory
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow
from slipstream.tuning.study import STUDY_FILE, Identity, Study
from slipstream.verdict import payback

__all__ = ["OptimizeResult", "OptimizeSettings", "optimize"]

Stored = TypeVar("Stored", bound=BaseModel)

RUNTIME_SHARE, RUNTIME_MOST_SECONDS = 0.25, 85.0
BASELINES_SHARE, BASELINES_MOST_SECONDS = 0.12, 300.0
GENERALISE_SHARE = 0.12
# Where techniques were asked for, they get their time.
ASKED_SHARE = 0.3
LEARN_LEAST_SHARE = 0.2
# A search that had this share of the time that there is now is not worth going on with.
ENOUGH = 0.8


def optimize(
    reference: str,
    folder: Path,
    settings: OptimizeSettings | None = None,
    listener: Listener = silent,
) -> OptimizeResult:
    """Find a faster and better way to train a task here, and prove it.

    Look, Runtime, Baselines, Learn, Generalise, Confirm, and, where time is left, Ablate; each
    stage's result is stored, so that an interrupted study goes on where it stopped.

    Args:
        reference: The task, as `slipstream.tasks.resolve` takes it.
        folder: The study's folder: report.html, plan.toml, train.py, study.json, runs/.
        settings: Budget, seeds, backends.
        listener: Told what happens.

    Raises:
        InputError: Task, data or settings cannot be used; nothing was trained.
        TrainingError: Not one training gave a finite value.
    """
    settings = settings or OptimizeSettings()
    for backend in settings.backends:
        require_backend(backend)
    for name in settings.techniques:
        get(name)
    launch = launch_for(reference, folder)
    identity = Identity(
        launch.reference,
        settings.num_seeds,
        settings.backends,
        settings.allow_precision,
        settings.techniques,
    )
    with claimed(folder, resume=settings.resume, marker=STUDY_FILE, traces=[STUDY_FILE]):
        study = Study(folder, identity, settings.budget_seconds, settings.resume)
        try:
            return _Optimizer(launch, study, settings, listener).run()
        finally:
            study.close()


class _Optimizer:
    def __init__(
        self, launch: Launch, study: Study, settings: OptimizeSettings, listener: Listener
    ) -> None:
        self._launch = launch
        self._study = study
        self._settings = settings
        self._listener = study.keeping_time(listener)
        self._start_seconds = 8.0
        self._findings: tuple[Finding, ...] = ()

    def run(self) -> OptimizeResult:
        facts = self._look()
        given = as_given(facts)
        runtime = self._runtime(facts, given)
        with WorkerPool(self._launch) as pool:
            context = Context(facts, self._study.folder, pool, self._listener)
            baselines = self._baselines(context, given, runtime)
            learned = self._learn(context, baselines, runtime)
            plan = self._generalise(context, baselines, learned)
        confirmation = None
        ablation = None
        if plan is not None:
            confirmation = self._confirm(facts, baselines, plan, runtime)
            ablation = self._ablate(facts, baselines, confirmation)
        return self._finish(
            report_of.Found(
                facts, self._findings, runtime, baselines, learned, confirmation, ablation
            )
        )

    def _look(self) -> TaskFacts:
        start = time.monotonic()
        stored = self._study.result("look", FirstLook)
        if stored is not None:
            what = "Looking whether task and data are those that the study began with"
            self._listener(StageStarted("look", what))
            self._study.refuse_changed(look(self._launch)[0])
            self._findings = findings_of(stored.warnings)
            for finding in self._findings:
                self._listener(Notice(in_words(finding), warning=True, code=finding.code))
            self._start_seconds = self._study.seconds_of("look")
            text = describe(stored.facts)
            self._listener(StageDone("look", text, self._start_seconds, resumed=True))
            return stored.facts
        facts, self._findings = look(self._launch, listener=self._listener)
        self._start_seconds = time.monotonic() - start
        self._study.refuse_changed(facts)
        first = FirstLook(facts=facts, warnings=values_of(self._findings))
        self._study.store("look", first, self._start_seconds)
        return facts

    def _runtime(self, facts: TaskFacts, given: Plan) -> RuntimeResult:
        stored = self._resumed("runtime", RuntimeResult, lambda r: text_of.runtime_text(r, given))
        if stored is not None:
            return stored
        backends = self._settings.backends or installed_backends()
        base = given.adapt({"runtime.loop": "slipstream", "runtime.steps_per_execution": 1})
        memory = RuntimeMemory(facts, base, backends, self._settings.allow_precision, environment())
        budget = min(RUNTIME_MOST_SECONDS, RUNTIME_SHARE * self._study.budget_seconds)
        known = self._study.noted("runtime", RuntimeRow)
        if self._settings.remember:
            found = memory.recall(facts, given.duration.epochs)
            if found is not None and (not found.untried or found.seconds > ENOUGH * budget):
                return self._recalled(found, given, memory)
            # A search that was given less time is gone on with.
            known = [*(found.rows if found else ()), *known]
        what = f"Measuring {', '.join(backends)} on this machine"
        start = self._begin("runtime", what, budget)

        def tell(row: RuntimeRow) -> None:
            self._study.note("runtime", row)
            share = min(1.0, (time.monotonic() - start) / budget)
            self._listener(Step("runtime", text_of.runtime_line(row), share))

        result = search_runtime(
            self._launch.reference,
            facts,
            base,
            backends=backends,
            allow_precision=self._settings.allow_precision,
            budget_seconds=budget,
            epochs_planned=given.duration.epochs,
            on_result=tell,
            log_folder=self._launch.log_folder,
            # A row is told again as it gets better known: the last one counts.
            known=known,
        )
        self._end("runtime", result, text_of.runtime_text(result, given), start)
        if not memory.keep(result):
            text = f"what was measured cannot be remembered: {memory.file} cannot be written"
            self._listener(Notice(text, warning=True, code="SLP-522"))
        return result

    def _recalled(self, found: RuntimeResult, given: Plan, memory: RuntimeMemory) -> RuntimeResult:
        start = self._begin("runtime", "Recalling what was measured on this machine before", 0.0)
        text = f"{memory.file} remembers this model here; --no-remember measures anew"
        self._listener(Notice(text))
        self._end("runtime", found, text_of.runtime_text(found, given), start)
        return found

    def _baselines(self, context: Context, given: Plan, runtime: RuntimeResult) -> Baselines:
        stored = self._resumed("baselines", Baselines, text_of.baselines_text)
        if stored is not None:
            return stored
        budget = min(BASELINES_MOST_SECONDS, BASELINES_SHARE * self._study.budget_seconds)
        start = self._begin("baselines", "Tuning the baseline: plain SGD with momentum", budget)
        deadline = self._study.deadline("baselines", budget)
        own = given.adapt({"runtime.loop": "slipstream"})
        row = runtime.best(given.batch.size, float32_only=True)
        fast = row.apply(own) if row else own
        result = find_baselines(context, given, fast, deadline)
        if result is None:
            raise TrainingError(
                "a training of the baselines to give a finite value",
                f"none for {context.facts.monitor}",
                "Look at the logs in the study's folder, or train it once with 'slipstream fit'.",
                code="SLP-504",
            )
        self._end("baselines", result, text_of.baselines_text(result), start)
        warning = self._proof(context.facts, result, runtime).warning()
        if warning:
            self._listener(Notice(warning, warning=True, code="SLP-524"))
        return result

    def _learn(self, context: Context, baselines: Baselines, runtime: RuntimeResult) -> LearnResult:
        stored = self._resumed("learn", LearnResult, text_of.learn_text)
        if stored is not None:
            return stored
        proof = self._proof(context.facts, baselines, runtime)
        reserve = 0.0 if proof.why_not() else proof.seconds
        reserve += self._generalise_seconds()
        left = self._study.left_seconds
        budget = max(LEARN_LEAST_SHARE * self._study.budget_seconds, left - reserve)
        start = self._begin("learn", "Looking for the plan that gets there first", budget)
        deadline = self._study.deadline("learn", budget)
        result = learn(context, baselines, runtime, deadline, Deadline(left))
        self._end("learn", result, text_of.learn_text(result), start)
        return result

    def _generalise(
        self, context: Context, baselines: Baselines, learned: LearnResult
    ) -> Plan | None:
        asked = self._settings.techniques
        if learned.plan is None:
            if asked:
                text = f"no plan met the target, so there is nothing to put {', '.join(asked)} on"
                self._listener(Notice(text, warning=True, code="SLP-523"))
            return None
        stored = self._resumed("generalise", GeneraliseResult, text_of.generalise_text)
        if stored is not None:
            return stored.plan
        budget = self._generalise_seconds()
        if not asked and self._study.left_seconds < 0:
            result = GeneraliseResult(plan=learned.plan, reason="the budget was spent")
            self._end("generalise", result, text_of.generalise_text(result), time.monotonic())
            return result.plan
        what = f"Trying {', '.join(asked)}, and asking" if asked else "Asking"
        start = self._begin("generalise", f"{what} whether regularization is needed", budget)
        deadline = self._study.deadline("generalise", budget)
        result = generalise(context, baselines, learned, deadline, asked)
        self._end("generalise", result, text_of.generalise_text(result), start)
        return result.plan

    def _generalise_seconds(self) -> float:
        share = ASKED_SHARE if self._settings.techniques else GENERALISE_SHARE
        return share * self._study.budget_seconds

    def _confirm(
        self, facts: TaskFacts, baselines: Baselines, plan: Plan, runtime: RuntimeResult
    ) -> Confirmation:
        stored = self._resumed("confirm", Confirmation, text_of.confirm_text)
        if stored is not None:
            return stored
        limit = self._kept_limit(facts, baselines, runtime)
        proof = self._proof(facts, baselines, runtime)
        skipped = proof.why_not()
        if skipped:
            result = Confirmation(plan=plan, target=baselines.target, verdicts={}, skipped=skipped)
            self._end("confirm", result, text_of.confirm_text(result), time.monotonic())
            return result
        what = "Racing the winner against both baselines"
        start = self._begin("confirm", what, proof.seconds)
        records = confirming.confirm(
            self._launch,
            facts,
            baselines.against(plan),
            self._settings.num_seeds,
            self._runs,
            self._listener,
            limit_seconds=limit,
        )
        result = Confirmation(
            plan=plan.edit({"seeds.seed": baselines.as_given.seeds.seed}),
            target=baselines.target,
            verdicts=confirming.judge_sides(records, baselines.target),
            cut_off=text_of.cut_off(records, limit),
        )
        self._end("confirm", result, text_of.confirm_text(result), start)
        return result

    def _ablate(
        self, facts: TaskFacts, baselines: Baselines, confirmation: Confirmation
    ) -> Ablation | None:
        stored = self._resumed("ablate", Ablation, text_of.ablation_text)
        if stored is not None or not is_gain(confirmation.verdicts):
            return stored
        chosen = variants(confirmation.plan, baselines.as_given, ["taken_out"])
        own = [record.timings.clock_seconds for record in self._records(confirming.WINNER)]
        each = self._settings.num_seeds * (self._start_seconds + 2 * max(own))
        num_affordable = max(0, int(self._study.left_seconds / each))
        chosen, left_out = chosen[:num_affordable], chosen[num_affordable:]
        if not chosen:
            return None
        what = "Taking techniques out of the winner, one at a time"
        start = self._begin("ablate", what, each * len(chosen))
        records = {
            PLAN: self._records(confirming.WINNER),
            **confirming.confirm(
                self._launch,
                facts,
                {variant.side: variant.plan for variant in chosen if variant.plan is not None},
                self._settings.num_seeds,
                self._runs,
                self._listener,
                limit_seconds=10 * max(own) + 10.0,
                stage="ablate",
            ),
        }
        result = Ablation(
            rows=rows(chosen, records, confirmation.target),
            left_out=tuple(variant.technique for variant in left_out),
        )
        self._end("ablate", result, text_of.ablation_text(result), start)
        return result

    def _finish(self, found: report_of.Found) -> OptimizeResult:
        confirmation = found.confirmation
        gain = confirmation is not None and is_gain(confirmation.verdicts)
        plan = confirmation.plan if confirmation and gain else found.baselines.as_given
        verdicts = confirmation.verdicts if confirmation else {}
        against_given = verdicts.get(confirming.AS_GIVEN)
        seconds = self._study.spent_seconds
        result = OptimizeResult(
            outcome="gain" if gain else "no_gain",
            headline=report_of.headline(found, gain),
            plan=plan,
            target=found.baselines.target,
            verdicts=verdicts,
            tuning_seconds=seconds,
            payback=payback(seconds, against_given) if gain and against_given else math.inf,
            folder=self._study.folder,
            cut_off=confirmation.cut_off if confirmation else (),
        )
        notice = report_of.write_all(
            found, result.headline, gain, plan, self._study, self._launch.reference
        )
        for text in notice:
            self._listener(Notice(text))
        return result

    @property
    def _runs(self) -> Path:
        return self._study.folder / "runs"

    def _records(self, side: str) -> list[Record]:
        return report_of.records_of(self._study.folder, side)

    def _proof(self, facts: TaskFacts, baselines: Baselines, runtime: RuntimeResult) -> ProofTime:
        full = report_of.estimated_seconds(facts, baselines.as_given, runtime)
        return ProofTime(
            self._settings.num_seeds, self._start_seconds, full, self._study.budget_seconds
        )

    def _kept_limit(self, facts: TaskFacts, baselines: Baselines, runtime: RuntimeResult) -> float:
        """The limit of all runs of the race: also of those that a later sitting makes."""
        kept = self._study.result("limit", RunLimit)
        if kept is None:
            kept = RunLimit(seconds=self._proof(facts, baselines, runtime).limit_seconds)
            self._study.store("limit", kept, 0.0)
        return kept.seconds

    def _begin(self, stage: StageName, what: str, seconds: float) -> float:
        self._listener(StageStarted(stage, what, seconds))
        return time.monotonic()

    def _end(self, stage: StageName, result: BaseModel, text: str, start: float) -> None:
        seconds = time.monotonic() - start
        self._study.store(stage, result, seconds)
        self._listener(StageDone(stage, text, seconds))

    def _resumed(
        self, stage: StageName, kind: type[Stored], text: Callable[[Stored], str]
    ) -> Stored | None:
        stored = self._study.result(stage, kind)
        if stored is not None:
            seconds = self._study.seconds_of(stage)
            self._listener(StageDone(stage, text(stored), seconds, resumed=True))
        return stored
