"""A realistic ReportInput: three sides, three seeds each, failures, intervals. No measurement.

As a script it writes the sample: `python tests/report/sample.py report.html`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np

from slipstream.plan import Plan
from slipstream.plan.toml import to_toml
from slipstream.record import Environment, Failure, Point, Record, Timings
from slipstream.report import (
    AblationRow,
    Change,
    Interval,
    Notice,
    ReportInput,
    RuntimeRow,
    Side,
    Stage,
    Trial,
    comparison_of,
    write,
)
from slipstream.verdict import compare, payback

TARGET = 0.97
MACHINE = {"machine": "x86_64", "processor": "AMD EPYC 9354P", "cores": 2, "memory_gib": 8}
VERSIONS = {"python": "3.11.2", "keras": "3.15.1", "tensorflow": "2.21.0", "jax": "0.10.2"}


def record(
    seed: int = 0,
    *,
    rate: float = 0.5,
    epoch_seconds: float = 0.6,
    ceiling: float = 0.978,
    epochs: int = 25,
    plan: Plan | None = None,
    compile_seconds: float = 1.2,
    task: str = "digits",
    monitor: str = "val_accuracy",
    target: float | None = TARGET,
) -> Record:
    """A run whose accuracy climbs to the ceiling and whose loss falls, with a little noise."""
    plan = plan or Plan()
    random = np.random.default_rng([seed, round(1000 * rate)])
    points = []
    seconds = 0.4 + compile_seconds
    for epoch in range(1, epochs + 1):
        seconds += epoch_seconds * random.uniform(0.93, 1.12)
        share = 1 - math.exp(-rate * epoch)
        accuracy = 0.1 + (ceiling - 0.1) * share + random.normal(0, 0.003)
        loss = 2.3 * (1 - share) + 0.08 + abs(random.normal(0, 0.012))
        values = {"loss": loss * 0.8, "val_loss": loss, monitor: min(accuracy, 1.0)}
        points.append(Point(step=45 * epoch, epoch=float(epoch), seconds=seconds, values=values))
    best = max(points, key=lambda point: point.values[monitor])
    return Record(
        task=task,
        reference=task,
        fingerprint="f1e2d3c4",
        data_hash="a1b2c3d4",
        plan=plan.to_dict(),
        plan_digest=plan.digest(),
        backend=plan.runtime.backend,
        seed=seed,
        monitor=monitor,
        mode="max",
        target=target,
        started_at="2026-11-22T10:00:00Z",
        environment=Environment(machine=MACHINE, versions=VERSIONS),
        timings=Timings(
            import_seconds=2.1,
            build_seconds=0.4,
            compile_seconds=compile_seconds,
            train_seconds=seconds - compile_seconds - 0.9,
            evaluate_seconds=0.5,
            clock_seconds=seconds,
        ),
        outcome="completed",
        updates=45 * epochs,
        epochs=float(epochs),
        examples_per_second=1437 / epoch_seconds,
        peak_memory_bytes=round(640e6 + 3e7 * rate),
        parameters=38_282,
        best_value=best.values[monitor],
        best_epoch=best.epoch,
        final_values=dict(points[-1].values),
        test_values={
            "accuracy": best.values[monitor] - 0.006 + random.normal(0, 0.002),
            "loss": best.values["val_loss"] * 1.06,
        },
        applied={"runtime.lowering": "forward, loss, metrics and update"},
        notes=["Left to Keras: layer mixing, which is of a class of its own."],
        points=points,
    )


def failed_record(seed: int = 9) -> Record:
    """A run that came to a loss that is not a number after four epochs."""
    whole = record(seed, rate=0.1, epochs=4)
    failure = Failure(kind="NonFiniteLoss", message="The loss became NaN at update 180.")
    return whole.model_copy(update={"outcome": "failed", "failure": failure, "test_values": None})


def winner_plan() -> Plan:
    """The plan that the sample's winner ran."""
    return Plan().edit(
        {
            "optimizer.name": "adamw",
            "optimizer.weight_decay": 0.01,
            "schedule.name": "one_cycle",
            "schedule.warmup": 0.3,
            "schedule.peak": 0.0084,
            "batch.size": 128,
            "runtime.backend": "jax",
            "runtime.steps_per_execution": 20,
            "duration.epochs": 12,
        }
    )


def sides() -> tuple[Side, ...]:
    """Baseline, tuned baseline and winner, three seeds each."""
    baseline = tuple(record(seed, rate=0.19, ceiling=0.986) for seed in range(3))
    tuned = tuple(record(seed, rate=0.33, ceiling=0.982) for seed in range(3))
    winner = tuple(
        record(
            seed,
            rate=0.62,
            ceiling=0.988,
            epochs=14,
            epoch_seconds=0.21,
            compile_seconds=0.7,
            plan=winner_plan(),
        )
        for seed in range(3)
    )
    return (
        Side(label="as given", role="baseline", records=baseline, energy_watt_hours=0.41),
        Side(
            label="SGD with momentum, swept",
            role="tuned baseline",
            records=tuned,
            energy_watt_hours=0.39,
        ),
        Side(label="winner", role="winner", records=winner, energy_watt_hours=0.09),
    )


def ablation() -> tuple[AblationRow, ...]:
    """Techniques in both directions: helpful, harmful, undecided, failed, beyond the scale."""
    rows = [
        ("one_cycle", "taken_out", (1.82, 1.59, 2.08), (0.0061, 0.0029, 0.0093)),
        ("adamw", "taken_out", (1.41, 1.15, 1.72), (0.0014, -0.0018, 0.0046)),
        ("batch_size", "taken_out", (1.22, 1.04, 1.43), (-0.0004, -0.0029, 0.0021)),
        ("steps_per_execution", "taken_out", (2.94, 2.63, 3.33), (0.0, -0.0019, 0.0019)),
        ("weight_decay", "taken_out", (0.96, 0.84, 1.10), (0.0022, -0.0014, 0.0058)),
        ("one_cycle", "put_alone", (1.62, 1.31, 2.01), (0.0042, 0.0009, 0.0075)),
        ("adamw", "put_alone", (1.27, 1.06, 1.52), (0.0019, -0.0013, 0.0051)),
        ("steps_per_execution", "put_alone", (2.41, 2.20, 2.64), (0.0, -0.0018, 0.0018)),
        ("batch_size", "put_alone", (0.66, 0.52, 0.84), (-0.0055, -0.0091, -0.0019)),
    ]
    return (
        *(
            AblationRow(
                technique=name, direction=side, speedup=Interval(*fast), quality=Interval(*good)
            )
            for name, side, fast, good in rows
        ),
        AblationRow(
            technique="backend", direction="taken_out", failure="Not run: the plan needs JAX."
        ),
        AblationRow(
            technique="weight_decay",
            direction="put_alone",
            speedup=Interval(1.9, 0.01, math.inf),
            quality=Interval(0.001),
            note="one run never reached the target",
        ),
    )


def runtime() -> tuple[RuntimeRow, ...]:
    """Candidates of three backends: one chosen, some dropped, and each kind of failure."""
    return (
        RuntimeRow(
            label="jax",
            backend="jax",
            options="20 steps per call, float32",
            examples_per_second=61_240,
            compile_seconds=0.71,
            projected_seconds=3.4,
            outcome="chosen",
            chosen=True,
        ),
        RuntimeRow(
            label="jax",
            backend="jax",
            options="1 step per call",
            examples_per_second=38_900,
            compile_seconds=0.64,
            projected_seconds=4.1,
            outcome="dropped in round 3",
        ),
        RuntimeRow(
            label="tensorflow",
            backend="tensorflow",
            options="20 steps per call, jit off",
            examples_per_second=29_310,
            compile_seconds=1.9,
            projected_seconds=6.0,
            outcome="dropped in round 2",
        ),
        RuntimeRow(
            label="tensorflow",
            backend="tensorflow",
            options="as given",
            examples_per_second=9_840,
            compile_seconds=1.2,
            projected_seconds=11.8,
            outcome="dropped in round 1",
        ),
        RuntimeRow(
            label="torch",
            backend="torch",
            options="float32",
            examples_per_second=8_120,
            compile_seconds=0.0,
            projected_seconds=13.1,
            outcome="dropped in round 1",
        ),
        RuntimeRow(
            label="torch",
            backend="torch",
            options="jit on",
            outcome="timed out",
            detail="Still compiling after 30 s.",
            failed=True,
        ),
        RuntimeRow(
            label="tensorflow",
            backend="tensorflow",
            options="mixed_bfloat16, jit on",
            outcome="crashed",
            detail="InvalidArgumentError: no kernel for bfloat16 on this device (signal 6).",
            failed=True,
        ),
        RuntimeRow(
            label="jax",
            backend="jax",
            options="batch 16384",
            outcome="out of memory",
            detail="Needed 9.2 GiB, 6.1 GiB were free.",
            failed=True,
        ),
    )


def trials() -> tuple[Trial, ...]:
    """Twenty trials, every third one pruned, one failed."""
    random = np.random.default_rng(7)
    recipes = ("one_cycle + adamw", "cosine + warmup + sgd", "muon", "schedule_free_adamw")
    rows = []
    for number in range(20):
        parameters = (
            f"peak={10 ** random.uniform(-3.5, -1.2):.2g} decay={random.uniform(0, 0.1):.2f}"
        )
        outcome = "failed" if number == 11 else "pruned" if number % 3 == 2 else "completed"
        done = outcome == "completed"
        seconds = float(random.uniform(2.1, 9.0))
        rows.append(
            Trial(
                number=number,
                recipe=recipes[number % 4],
                parameters=parameters,
                value=seconds if done else None,
                outcome=outcome,
                seconds=seconds if done else None,
                quality=float(0.985 - 0.02 * random.random()) if done else None,
            )
        )
    return tuple(rows)


def sample() -> ReportInput:
    """A report with every section filled."""
    plan = winner_plan()
    changes = Plan().difference(plan)
    contestants = sides()
    *baselines, winner = contestants
    verdicts = [compare(winner.records, one.records, target=TARGET) for one in baselines]
    return ReportInput(
        task="digits",
        verdict=(
            "Reaches val_accuracy 0.97 3.7 times as fast as the tuned baseline, "
            "with test accuracy no lower.",
            f"Against the task as given: {verdicts[0].sentence()}.",
        ),
        outcome="faster",
        monitor="val_accuracy",
        target=TARGET,
        sides=contestants,
        comparisons=tuple(
            comparison_of(one.label, verdict)
            for one, verdict in zip(baselines, verdicts, strict=True)
        ),
        ablation=ablation(),
        runtime=runtime(),
        trials=trials(),
        metric_of_trials="Seconds to target",
        stages=(
            Stage(name="Look", seconds=4.2, result="38 282 parameters, 0.6 s an epoch."),
            Stage(name="Runtime", seconds=71.0, result="JAX, 20 steps per call."),
            Stage(name="Learn", seconds=104.0, result="One-cycle with AdamW, peak 0.0084."),
            Stage(name="Generalise", seconds=0.0, result="Not needed: the gap is 0.004."),
            Stage(name="Confirm", seconds=92.0, result="Nine runs, interleaved."),
        ),
        payback_trainings=payback(271.2, verdicts[1]),
        plan=to_toml(plan),
        changes=tuple(
            Change(key=key, before=str(before), after=str(after))
            for key, (before, after) in changes.items()
        ),
        machine={name: str(value) for name, value in MACHINE.items()},
        versions=VERSIONS,
        reproduce=(
            "pip install slipstream[jax]",
            "slipstream compare digits baseline.toml plan.toml --seeds 3",
        ),
        notices=(
            Notice(
                title="The machine was shared.",
                text="Two of nine runs were measured while other work ran; they were repeated.",
                warning=True,
            ),
            Notice(title="Validation split.", text="Choices were made on 359 examples."),
        ),
        written_at="22 November 2026",
        version="0.1.0",
    )


def small_sample() -> ReportInput:
    """A report with every field filled and little in each: for what is done many times over."""
    run = record(rate=0.6, epochs=4, target=0.5)
    failed = run.model_copy(
        update={"outcome": "failed", "failure": Failure(kind="NonFiniteLoss", message="NaN")}
    )
    side = Side(label="side", role="winner", records=(run, failed), cost="2 ct")
    baseline = dataclasses.replace(side, label="other", role="baseline")
    whole = sample()
    return dataclasses.replace(
        whole,
        title="title",
        target=0.5,
        sides=(side, baseline),
        winner_in_baseline_time="told",
        trials=whole.trials[:4],
        plan="[batch]\nsize = 32  # examples\n",
    )


if __name__ == "__main__":
    write(sample(), Path(sys.argv[1]))
