"""What tests of tuning share: the record of a training whose outcome they choose."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.record import Environment, Point, Record, Timings


def record_of(plan: Plan, value: float = 0.6, seconds: float = 2.0) -> Record:
    """A training with one evaluation: an accuracy, and when it was reached."""
    return Record(
        task="t", reference="t", fingerprint="f", data_hash="d", plan=plan.to_dict(),
        plan_digest=plan.digest(), backend=plan.runtime.backend, seed=plan.seeds.seed,
        monitor="val_accuracy", mode="max", target=0.9, started_at="now",
        environment=Environment(machine={}, versions={}), timings=Timings(clock_seconds=seconds),
        outcome="completed", updates=1, epochs=1.0, examples_per_second=1.0,
        peak_memory_bytes=1, parameters=1, best_value=value, best_epoch=1.0, final_values={},
        points=[Point(step=1, epoch=1.0, seconds=seconds, values={"val_accuracy": value})],
    )  # fmt: skip
