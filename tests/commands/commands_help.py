"""Records for tests of what commands write."""

from __future__ import annotations

from pathlib import Path

from slipstream.plan import Plan
from slipstream.record import Environment, Point, Record, Timings, point_to_line, write_record


def make_record(seed: int = 0, *, rate: float = 1.0, **changes: object) -> Record:
    """A run that gains `rate` tenths an epoch of one second."""
    plan = Plan().edit({"seeds.seed": seed, "schedule.peak": 1e-3 * rate})
    points = [
        Point(step=step, epoch=step, seconds=float(step + seed / 10), values={
            "val_accuracy": min(0.95, 0.1 * rate * step)})
        for step in range(1, 10)
    ]  # fmt: skip
    values = {
        "task": "digits",
        "reference": "digits",
        "fingerprint": "f",
        "data_hash": "d",
        "plan": plan.to_dict(),
        "plan_digest": plan.digest(),
        "backend": "jax",
        "seed": seed,
        "monitor": "val_accuracy",
        "mode": "max",
        "target": 0.5,
        "started_at": "2026-01-01T00:00:00+00:00",
        "environment": Environment(machine={"logical_cores": 2}, versions={"keras": "3.15.1"}),
        "timings": Timings(clock_seconds=10.0),
        "outcome": "completed",
        "updates": 9,
        "epochs": 9.0,
        "examples_per_second": 100.0,
        "peak_memory_bytes": 1,
        "parameters": 1,
        "best_value": points[-1].values["val_accuracy"],
        "best_epoch": 9.0,
        "final_values": points[-1].values,
        "points": points,
    }
    return Record.model_validate({**values, **changes})


def write_run(record: Record, folder: Path) -> None:
    write_record(record, folder)
    (folder / "metrics.jsonl").write_text("".join(point_to_line(p) for p in record.points))
