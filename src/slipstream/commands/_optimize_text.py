"""What each stage of `optimize` found, in one line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipstream.commands._optimize_values import Ablation, Confirmation
from slipstream.plan import Plan
from slipstream.record import Record
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.generalise import GeneraliseResult
from slipstream.tuning.learn import LearnResult
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow

NOTHING = "nothing could be tried"


def runtime_line(row: RuntimeRow) -> str:
    """Return a candidate of the runtime search in one line."""
    if row.examples_per_second is None:
        return f"{row.label}: {row.outcome}{f' ({row.message})' if row.message else ''}"
    return (
        f"{row.label}: {row.examples_per_second:,.0f} examples/s, "
        f"compiled in {row.compile_seconds or 0.0:.1f} s"
    )


def runtime_text(result: RuntimeResult, given: Plan) -> str:
    """Return what the runtime search found, in one line."""
    best = result.best(given.batch.size) or next(iter(result.best_of_each().values()), None)
    if best is None:
        return "no candidate could be measured: staying with the task's own runtime"
    return f"{len(result.rows)} candidates measured; fastest at batch {best.batch_size}: " + (
        runtime_line(best)
    )


def baselines_text(result: Baselines) -> str:
    """Return what the sweep of the baselines found, in one line."""
    rate = result.tuned.schedule.peak
    quality = f"best quality of a baseline {result.quality:.4g}"
    if result.is_cut:
        quality = "what the baselines reach in the end was not waited for"
    return f"best plain SGD: rate {rate:.3g}; target {result.target:.4g}; {quality}"


def learn_text(result: LearnResult) -> str:
    """Return what the Learn stage found, in one line."""
    if result.plan is None:
        return f"{len(result.trials)} trials, none of which met the target"
    return (
        f"{len(result.trials)} trials; best: {result.plan.optimizer.name}, "
        f"{result.plan.schedule.name}, batch {result.plan.batch.size} on "
        f"{result.plan.runtime.backend} in {result.score:.2f} s"
    )


def generalise_text(result: GeneraliseResult) -> str:
    """Return what the Generalise stage found, in one line."""
    tried = [row for row in result.rows if not row.reason]
    kept = [row.technique for row in tried if row.kept]
    parts = [f"kept {', '.join(kept)}"] if kept else []
    if not kept and (tried or not (result.rows or result.reason)):
        parts.append(f"no gain from {', '.join(r.technique for r in tried)}" if tried else NOTHING)
    parts += [f"{row.technique} was not tried: {row.reason}" for row in result.rows if row.reason]
    return "; ".join([*parts, *([result.reason] if result.reason else [])])


def confirm_text(result: Confirmation) -> str:
    """Return what the confirmation found, in one line."""
    if result.skipped:
        return f"no proof: {result.skipped}"
    against = [
        f"against {side.replace('_', ' ')}: {verdict.sentence()}"
        for side, verdict in result.verdicts.items()
    ]
    return "; ".join([*against, *result.cut_off])


def cut_off(records: Mapping[str, Sequence[Record]], limit_seconds: float) -> tuple[str, ...]:
    """Return a sentence for each side whose trainings the budget ended before their plan did."""
    found = []
    for side, runs in records.items():
        cut = [run for run in runs if run.outcome == "limit_reached"]
        if cut:
            shares = [run.epochs / run.plan["duration"]["epochs"] for run in cut]
            least, most = f"{100 * min(shares):.0f}", f"{100 * max(shares):.0f}"
            found.append(
                f"{side.replace('_', ' ')}: {len(cut)} of {len(runs)} runs were ended after "
                f"{limit_seconds:.0f} s, at {least}{f' to {most}' if most != least else ''} % "
                "of their epochs: their final quality is not known"
            )
    return tuple(found)


def ablation_text(result: Ablation) -> str:
    """Return what the ablation found, in one line."""
    text = f"{len(result.rows)} techniques taken out, one at a time"
    if result.left_out:
        text += f"; no time was left for {', '.join(result.left_out)}"
    return text
