"""What a study found, as the values that a report is made of."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipstream import report
from slipstream.commands import _optimize_text as text_of
from slipstream.commands._notes import OptimizeNotes, read_notes
from slipstream.commands._optimize_values import Ablation, Confirmation
from slipstream.commands._writing import command_line, crash_notice, described, labelled
from slipstream.commands.look import describe
from slipstream.doctor import Finding
from slipstream.files import read_json
from slipstream.plan import Plan, to_toml
from slipstream.record import RECORD_FILE, Record, read_record
from slipstream.task import TaskFacts
from slipstream.tuning import confirm as confirming
from slipstream.tuning.baselines import Baselines, SweepRow
from slipstream.tuning.generalise import GeneraliseResult
from slipstream.tuning.journal import TrialRow
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow
from slipstream.tuning.study import STUDY_FILE, Study
from slipstream.verdict import payback

LABELS = {
    confirming.AS_GIVEN: "as given",
    confirming.TUNED: "tuned baseline",
    confirming.WINNER: "winner",
}


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


def records_of(folder: Path, side: str) -> list[Record]:
    """Return the records of one side of the confirmation, by seed."""
    files = (folder / "runs").glob(f"{side}_seed*/{RECORD_FILE}")
    return sorted((read_record(file.parent) for file in files), key=lambda record: record.seed)


def content_of(
    found: Found, sentence: str, gain: bool, plan: Plan, study: Study, reference: str
) -> report.ReportInput:
    """Return what the report of a study that came to its end shows."""
    confirmation = found.confirmation
    verdicts = confirmation.verdicts if confirmation else {}
    against_given = verdicts.get(confirming.AS_GIVEN)
    sides = [_side(study.folder, side) for side in LABELS] if verdicts else []
    notes = _notes(study)
    known = [record.environment for side in sides for record in side.records]
    machine, versions = described(known[0] if known else notes.environment if notes else None)
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
        sweep=tuple(_rate(row, found) for row in found.baselines.sweep),
        trials=tuple(_trial(row) for row in found.learned.trials),
        metric_of_trials="score: seconds to target, dearer where quality falls behind",
        stages=tuple(
            report.Stage(name=name, seconds=study.seconds_of(name), result=result)
            for name, result in _stages(found, study).items()
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
        reproduce=_reproduce(reference, study, gain, notes),
        notices=crash_notice(tuple(_crashed(found, study.folder))) + _left_out(found),
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
    tried = found.baselines.as_given.adapt({"runtime.loop": "slipstream"})
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


def _rate(row: SweepRow, found: Found) -> report.Rate:
    return report.Rate(
        rate=row.rate,
        quality=None if row.is_cut else row.best_value,
        seconds=row.seconds_to_target if math.isfinite(row.seconds_to_target) else None,
        chosen=row.rate == found.baselines.tuned.schedule.peak,
    )


def _stages(found: Found, study: Study) -> dict[str, str]:
    """Return what each stage found, in one line, in the order of the stages."""
    generalised = study.result("generalise", GeneraliseResult)
    return {
        "look": describe(found.facts),
        "runtime": text_of.runtime_text(found.runtime, found.baselines.as_given),
        "baselines": text_of.baselines_text(found.baselines),
        "learn": text_of.learn_text(found.learned),
        "generalise": text_of.generalise_text(generalised) if generalised else "",
        "confirm": text_of.confirm_text(found.confirmation) if found.confirmation else "",
        "ablate": text_of.ablation_text(found.ablation) if found.ablation else "",
    }


def _notes(study: Study) -> OptimizeNotes | None:
    notes = read_notes(study.folder)
    return notes if isinstance(notes, OptimizeNotes) else None


def _reproduce(
    reference: str, study: Study, gain: bool, notes: OptimizeNotes | None
) -> tuple[str, ...]:
    plan, script = study.folder / "plan.toml", study.folder / "train.py"
    lines = [
        command_line("optimize", reference, *_options(study, notes)),
        command_line("fit", reference, "--plan", plan),
    ]
    if gain:
        # Without a gain the plan is the task's own: there is nothing to take apart.
        lines.append(command_line("ablate", reference, "--plan", plan))
    if script.exists():
        lines.append(shlex.join(["python", str(script)]))
    return tuple(lines)


def _options(study: Study, notes: OptimizeNotes | None) -> list[object]:
    identity = read_json(study.folder / STUDY_FILE)["identity"]
    options: list[object] = ["--seeds", identity["num_seeds"]]
    if notes is not None:
        options += ["--budget", f"{math.ceil(notes.budget_seconds)}s"]
    if identity["backends"]:
        options += ["--backends", ",".join(identity["backends"])]
    return options if identity["allow_precision"] else [*options, "--no-allow-precision"]


def _crashed(found: Found, folder: Path) -> Iterator[str]:
    """Yield the runs that the verdicts count and that have left no record."""
    judged = dict(found.confirmation.verdicts) if found.confirmation else {}
    if judged:
        # Every verdict is on the winner.
        judged[confirming.WINNER] = next(iter(judged.values()))
    for row in found.ablation.rows if found.ablation else ():
        if row.verdict is not None:
            judged[f"without_{row.technique}"] = row.verdict
    for side, verdict in judged.items():
        for pair in verdict.pairs:
            if not (folder / "runs" / f"{side}_seed{pair.seed}" / RECORD_FILE).exists():
                yield f"{LABELS.get(side, side.replace('_', ' ', 1))}, seed {pair.seed}"


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
