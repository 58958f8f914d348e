"""What a study found, written down for people: report, plan and plain script."""

from __future__ import annotations

from pathlib import Path

from slipstream.commands._found_layers import with_found_layers
from slipstream.commands._notes import OptimizeNotes, write_notes
from slipstream.commands._optimize_content import Found, content_of, records_of
from slipstream.commands._optimize_values import Confirmation
from slipstream.commands._writing import write_report
from slipstream.commands.folders import TRIED_FILE
from slipstream.environment import environment
from slipstream.errors import SlipstreamError
from slipstream.export import eject
from slipstream.files import write_text
from slipstream.plan import Plan, write_plan
from slipstream.task import TaskFacts
from slipstream.tuning import confirm as confirming
from slipstream.tuning.runtime_values import RuntimeResult
from slipstream.tuning.study import Study

__all__ = [
    "Found",
    "estimated_seconds",
    "headline",
    "records_of",
    "write_all",
    "write_study_report",
]

# Keras' own loop reaches about this share of a direct loop's throughput on small nets.
KERAS_LOOP_SHARE = 0.7


def headline(found: Found, gain: bool) -> str:
    """Return the result of a study in one sentence."""
    confirmation = found.confirmation
    if confirmation is None:
        return (
            f"No gain found: of {len(found.learned.trials)} trials none met "
            f"{found.facts.monitor} {found.baselines.target:.4g}."
        )
    if confirmation.skipped:
        return f"No gain is claimed: {confirmation.skipped}."
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
            else "what they reach in the end was not waited for."
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
        written_out = with_found_layers(plan, folder)
        write_text(folder / "train.py", eject(written_out, reference))
    except SlipstreamError as error:
        (folder / "train.py").unlink(missing_ok=True)
        notices.append(f"No plain Keras script was written. {error}")
    if not gain and found.confirmation is not None:
        write_plan(found.confirmation.plan, folder / TRIED_FILE)
        notices.append(
            f"The best plan that was tried, without proof of a gain, is in {TRIED_FILE}."
        )
    notes = OptimizeNotes(
        reference=reference, budget_seconds=study.budget_seconds, environment=environment()
    )
    write_notes(folder, notes)
    write_study_report(found, sentence, gain, plan, study, reference)
    return notices


def write_study_report(
    found: Found, sentence: str, gain: bool, plan: Plan, study: Study, reference: str
) -> Path:
    """Write report.html alone; returns its path."""
    content = content_of(found, sentence, gain, plan, study, reference)
    return write_report(study.folder, content, found.findings)


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


def _called(side: str) -> str:
    return {
        confirming.AS_GIVEN: "Against the task as given",
        confirming.TUNED: "Against plain SGD at its best rate",
    }[side]
