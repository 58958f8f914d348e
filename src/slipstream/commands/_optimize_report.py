"""What a study found, written down for people: report, plan and plain script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from slipstream import report
from slipstream.commands._optimize_values import Ablation, Confirmation
from slipstream.commands._writing import environment_of, labelled, write_report
from slipstream.doctor import Finding
from slipstream.errors import SlipstreamError
from slipstream.export import eject
from slipstream.files import write_text
from slipstream.plan import Plan, to_toml, write_plan
from slipstream.record import RECORD_FILE, Record, read_record
from slipstream.task import TaskFacts
from slipstream.tuning import confirm as confirming
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.learn import LearnResult, TrialRow
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow
from slipstream.tuning.study import Study
from slipstream.verdict import payback

LABELS = {
    confirming.AS_GIVEN: "as given",
    confirming.TUNED: "tuned baseline",
    confirming.WINNER: "winner",
}
STAGES = ("look", "runtime", "baselines", "learn", "generalise", "confirm", "ablate")
# Keras' own loop reaches about this share of a direct loop's throughput on small nets.
KERAS_LOOP_SHARE = 0.7


@dataclass(frozen=True)
class Found:
    """Everything that the stages of a study found."""

    facts: TaskFacts
    findings: tuple[Finding, ...]
    runtime: RuntimeResult
    baselines: Baselines
    learned: LearnResult
    confirmation: Confirmation | None
    ablation: Ablation | None


def headline(found: Found, gain: bool) -> str:
    """Return the result of a study in one sentence."""
    confirmation = found.confirmation
    if confirmation is None:
        return (
            f"No gain found: of {len(found.learned.trials)} trials none met "
            f"{found.facts.monitor} {found.baselines.target:.4g}."
        )
    details = [
        f"{_called(side)}: {verdict.sentence()}." for side, verdict in confirmation.verdicts.items()
    ]
    return " ".join([_claim(found, confirmation) if gain else "No gain found.", *details])


def _claim(found: Found, confirmation: Confirmation) -> str:
    """The gain in one sentence: how many times faster than what, and at what quality."""
    ratios = {side: verdict.ratio or 1.0 for side, verdict in confirmation.verdicts.items()}
    return (
        f"{ratios[confirming.AS_GIVEN]:.1f}x faster to {found.facts.monitor} "
        f"{confirmation.target:.4g} than the task as given, and {ratios[confirming.TUNED]:.1f}x "
        "faster than plain SGD at its best rate; "
        + (
            "no loss of quality was found."
            if not confirmation.cut_off
            else "what the baselines reach in the end was not waited for."
        )
    )


def write_all(
    found: Found, sentence: str, gain: bool, plan: Plan, study: Study, reference: str
) -> list[str]:
    """Write report.html, plan.toml and train.py; returns what could not be written, and why."""
    folder = study.folder
    write_plan(plan, folder / "plan.toml")
    notices: list[str] = []
    try:
        write_text(folder / "train.py", eject(plan, reference))
    except SlipstreamError as error:
        notices.append(f"No plain Keras script was written. {error}")
    if not gain and found.confirmation is not None:
        write_plan(found.confirmation.plan, folder / "tried.toml")
        notices.append("The best plan that was tried, without proof of a gain, is in tried.toml.")
    write_study_report(found, sentence, gain, plan, study, reference)
    return notices


def write_study_report(
    found: Found, sentence: str, gain: bool, plan: Plan, study: Study, reference: str
) -> Path:
    """Write report.html alone; returns its path."""
    content = _content(found, sentence, gain, plan, study, reference)
    return write_report(study.folder, content, found.findings)


def records_of(folder: Path, side: str) -> list[Record]:
    """Return the records of one side of the confirmation, by seed."""
    files = (folder / "runs").glob(f"{side}_seed*/{RECORD_FILE}")
    return sorted((read_record(file.parent) for file in files), key=lambda record: record.seed)


def estimated_seconds(facts: TaskFacts, given: Plan, runtime: RuntimeResult) -> float:
    """Return about how long the task as given trains, by what the runtime search measured."""
    speeds = [
        row.examples_per_second
        for row in runtime.rows
        if row.examples_per_second
        and row.backend == given.runtime.backend
        and row.batch_size == given.batch.size
    ] or [row.examples_per_second for row in runtime.rows if row.examples_per_second]
    if not speeds:
        return 60.0
    # Evaluating costs about a third of training on the same number of examples.
    examples = given.duration.epochs * (facts.num_train + facts.num_validation / 3)
    return examples / (KERAS_LOOP_SHARE * min(speeds))


def _content(
    found: Found, sentence: str, gain: bool, plan: Plan, study: Study, reference: str
) -> report.ReportInput:
    confirmation = found.confirmation
    verdicts = confirmation.verdicts if confirmation else {}
    against_given = verdicts.get(confirming.AS_GIVEN)
    sides = [_side(study.folder, side) for side in LABELS] if confirmation else []
    machine, versions = environment_of(sides[0].records if sides else ())
    return report.ReportInput(
        task=found.facts.name,
        verdict=tuple(part for part in _sentences(sentence) if part),
        outcome="faster" if gain else "no gain found",
        monitor=found.facts.monitor,
        mode=found.facts.mode,
        target=found.baselines.target,
        sides=tuple(sides),
        comparisons=tuple(
            report.comparison_of(LABELS[side], verdict) for side, verdict in verdicts.items()
        ),
        ablation=tuple(report.ablation_row_of(row) for row in found.ablation.rows)
        if found.ablation
        else (),
        runtime=tuple(_runtime_row(row, found, plan) for row in found.runtime.rows),
        trials=tuple(_trial(row) for row in found.learned.trials),
        metric_of_trials="score: seconds to target, dearer where quality falls behind",
        stages=tuple(
            report.Stage(name=name, seconds=study.seconds_of(name))
            for name in STAGES
            if study.seconds_of(name)
        ),
        tuning_seconds=study.spent_seconds,
        payback_trainings=payback(study.spent_seconds, against_given)
        if gain and against_given
        else None,
        plan=to_toml(plan),
        changes=labelled(plan, found.baselines.as_given),
        machine=machine,
        versions=versions,
        reproduce=_reproduce(reference, study),
        notices=_left_out(found),
    )


def _side(folder: Path, side: str) -> report.Side:
    roles: dict[str, report.Role] = {
        confirming.AS_GIVEN: "baseline",
        confirming.TUNED: "tuned baseline",
        confirming.WINNER: "winner",
    }
    return report.Side(
        label=LABELS[side], role=roles[side], records=tuple(records_of(folder, side))
    )


def _sentences(sentence: str) -> list[str]:
    """The claim, then each comparison: sentences end where the next begins with "Against"."""
    first, *rest = sentence.split(" Against ")
    return [first, *(f"Against {part}" for part in rest)]


def _runtime_row(row: RuntimeRow, found: Found, plan: Plan) -> report.RuntimeRow:
    failed = row.outcome != "measured"
    tried = found.baselines.as_given.edit({"runtime.loop": "slipstream"})
    chosen = not failed and _same_runtime(row.apply(tried), plan)
    survived = f"measured in {row.rungs} rounds" if row.rungs > 1 else "dropped after one round"
    return report.RuntimeRow(
        label=row.label,
        backend=row.backend,
        options=", ".join(f"{key} = {value}" for key, value in row.changes.items()),
        examples_per_second=row.examples_per_second,
        compile_seconds=row.compile_seconds,
        projected_seconds=row.projected_seconds,
        outcome=row.outcome.replace("_", " ") if failed else "chosen" if chosen else survived,
        detail=row.message,
        failed=failed,
        chosen=chosen,
    )


def _same_runtime(candidate: Plan, plan: Plan) -> bool:
    return (
        candidate.runtime == plan.runtime
        and candidate.precision == plan.precision
        and candidate.data == plan.data
        and candidate.batch.size == plan.batch.size
    )


def _trial(row: TrialRow) -> report.Trial:
    return report.Trial(
        number=row.number,
        recipe=row.recipe,
        parameters=", ".join(f"{key} = {value}" for key, value in row.changes.items()),
        value=row.score if math.isfinite(row.score) else None,
        outcome=row.outcome,
        seconds=row.seconds_to_target if math.isfinite(row.seconds_to_target) else None,
        quality=row.best_value,
    )


def _reproduce(reference: str, study: Study) -> tuple[str, ...]:
    folder = study.folder
    return (
        f"slipstream fit {reference} --plan {folder / 'plan.toml'}",
        f"slipstream ablate {reference} --plan {folder / 'plan.toml'}",
        f"python {folder / 'train.py'}",
    )


def _left_out(found: Found) -> tuple[report.Notice, ...]:
    cut_off = found.confirmation.cut_off if found.confirmation else ()
    notices = [
        report.Notice(title="Trainings that the budget ended", text=f"{text}.", warning=True)
        for text in cut_off
    ]
    if found.ablation and found.ablation.left_out:
        names = ", ".join(found.ablation.left_out)
        text = "The budget was spent; 'slipstream ablate' runs them all."
        notices.append(report.Notice(title=f"Not ablated: {names}", text=text))
    if found.runtime.untried:
        names = ", ".join(found.runtime.untried)
        notices.append(report.Notice(title="Runtimes that were not tried", text=names))
    return tuple(notices)


def _called(side: str) -> str:
    return {
        confirming.AS_GIVEN: "Against the task as given",
        confirming.TUNED: "Against plain SGD at its best rate",
    }[side]
