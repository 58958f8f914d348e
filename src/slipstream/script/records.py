"""What a fit was, as a record: what is known of it, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipstream.environment import environment, peak_memory_bytes
from slipstream.files import write_text
from slipstream.record import (
    METRICS_FILE,
    Failure,
    Outcome,
    Point,
    Record,
    Timings,
    point_to_line,
    write_record,
)
from slipstream.signals import found_over

REPORT_FILE = "report.html"
NO_PLAN = "A fit of a script follows no plan: the script decides, and `applied` says what."


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The facts of one fit.

    Args:
        name: The script's name and the number of the fit.
        reference: The command that ran it.
        fingerprint: Of the model.
        backend: The Keras backend.
        seed: What `keras.utils.set_random_seed` was given, or None.
        monitor: What is watched.
        started_at: Date and time.
        import_seconds: What importing Keras took.
        seconds: What the fit took.
        evaluate_seconds: What of it went into validation.
        updates: Steps of the optimizer.
        epochs_wanted: How many epochs were asked for.
        examples: How many examples were trained on in all, or None where nobody can tell.
        parameters: Of the model.
        applied: What was done, by name.
        notes: What fell back to Keras, and why.
    """

    name: str
    reference: str
    fingerprint: str
    backend: str
    seed: int | None
    monitor: str
    started_at: str
    outcome: Outcome
    failure: Failure | None = None
    import_seconds: float
    seconds: float
    evaluate_seconds: float
    updates: int
    examples: int | None
    parameters: int
    points: tuple[Point, ...] = ()
    applied: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def record_of(fit: Fit) -> Record:
    """Return the record of a fit; what is not known is empty or zero, and said in the notes."""
    watched = [point for point in fit.points if math.isfinite(_value(point, fit.monitor))]
    best = min(watched, key=lambda point: _value(point, fit.monitor), default=None)
    trained = fit.seconds - fit.evaluate_seconds
    unknown = [] if fit.seed is not None else ["The script sets no seed of Keras."]
    if fit.examples is None and fit.points:
        unknown.append("Examples per second are not known: the data do not say how many they are.")
    return Record(
        task=fit.name,
        reference=fit.reference,
        fingerprint=fit.fingerprint,
        data_hash="",
        plan={},
        plan_digest="",
        backend=fit.backend,
        seed=fit.seed or 0,
        monitor=fit.monitor,
        mode="min",
        target=None,
        started_at=fit.started_at,
        environment=environment(),
        timings=Timings(
            import_seconds=fit.import_seconds,
            train_seconds=trained,
            evaluate_seconds=fit.evaluate_seconds,
            clock_seconds=fit.seconds,
        ),
        outcome=fit.outcome,
        failure=fit.failure,
        updates=fit.updates,
        epochs=float(len(fit.points)),
        examples_per_second=(fit.examples or 0) / trained if trained > 0 else 0.0,
        peak_memory_bytes=peak_memory_bytes(),
        parameters=fit.parameters,
        best_value=_value(best, fit.monitor) if best else None,
        best_epoch=best.epoch if best else None,
        final_values=fit.points[-1].values if fit.points else {},
        applied=dict(fit.applied),
        notes=[*fit.notes, *unknown, NO_PLAN],
        events=found_over(fit.points, fit.monitor, "min"),
        points=list(fit.points),
    )


def keep(record: Record, folder: Path) -> None:
    """Write record.json and metrics.jsonl into a fit's folder."""
    write_text(folder / METRICS_FILE, "".join(point_to_line(point) for point in record.points))
    write_record(record, folder)


def write_report(record: Record, folder: Path, written_at: str, *, still: bool = False) -> Path:
    """Write the report of a fit beside its record; returns its path.

    Args:
        record: Of the fit.
        folder: The fit's.
        written_at: The time, as it should be read.
        still: Whether its curves are still pictures.
    """
    # Drawing takes a moment to import, which no fit has to wait for.
    from slipstream._version import __version__
    from slipstream.commands._writing import environment_of
    from slipstream.report import ReportInput, Side, write

    machine, versions = environment_of([record])
    content = ReportInput(
        task=record.task,
        title="Training report",
        monitor=record.monitor,
        mode=record.mode,
        sides=(Side(label="this fit", role="run", records=(record,)),),
        machine=machine,
        versions=versions,
        reproduce=(record.reference,),
        written_at=written_at,
        version=__version__,
        still=still,
    )
    return write(content, folder / REPORT_FILE)


def _value(point: Point, name: str) -> float:
    return point.values.get(name, math.nan)
