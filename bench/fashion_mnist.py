"""Time to 90 % validation accuracy on Fashion-MNIST: two baselines on Keras' own fit, and a plan.

    python bench/fashion_mnist.py --out runs/bench_fashion_mnist [--seeds 3] [--plan FILE]

The baselines are what Keras on TensorFlow runs: SGD(0.01) and Adam(1e-3) at batch 32, float32,
`Model.fit` as it comes. All sides build the same model on the same data and end when they meet the
target (or after their last epoch); compilation and evaluation count. Runs are interleaved, each in
a process of its own; a second call goes on where the first was interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from slipstream.commands.look import launch_for, look
from slipstream.plan import Plan, read_plan
from slipstream.progress import Happening, Step
from slipstream.record import Record
from slipstream.tuning.confirm import confirm, judge_sides

HERE = Path(__file__).parent
TARGET = 0.90
KERAS = Plan().edit(
    {
        "runtime.loop": "keras",
        "runtime.backend": "tensorflow",
        "batch.size": 32,
        "duration.epochs": 10,
        "duration.stop_at_target": True,
    }
)
BASELINES = {
    "sgd_0.01": KERAS.edit({"optimizer.name": "sgd", "schedule.peak": 0.01}),
    "adam_0.001": KERAS.edit({"optimizer.name": "adam", "schedule.peak": 0.001}),
}
FLOORS = {"sgd_0.01": 5.0, "adam_0.001": 2.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/bench_fashion_mnist"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plan", type=Path, default=HERE / "plans" / "fashion_mnist.toml")
    chosen = parser.parse_args()
    launch = launch_for("fashion_mnist", chosen.out)
    facts, _ = look(launch, plan=KERAS)
    sides = {**BASELINES, "plan": read_plan(chosen.plan)}
    records = confirm(launch, facts, sides, chosen.seeds, chosen.out / "runs", tell)
    print_table(records)


def tell(happening: Happening) -> None:
    if isinstance(happening, Step) and not happening.passing:
        print(happening.text, file=sys.stderr, flush=True)


def print_table(records: dict[str, list[Record]]) -> None:
    for side, runs in records.items():
        seconds = ", ".join(f"{run.seconds_to(TARGET):.1f}" for run in runs)
        tests = ", ".join(f"{(run.test_values or {}).get('accuracy', math.nan):.4f}" for run in runs)
        epochs = ", ".join(f"{run.epochs:.2f}" for run in runs)
        speed = ", ".join(f"{run.examples_per_second:.0f}" for run in runs)
        print(
            f"{side}: seconds to {TARGET} by seed {seconds}; test accuracy {tests}; "
            f"epochs {epochs}; examples/s {speed}"
        )
    for side, verdict in judge_sides(records, TARGET, candidate="plan").items():
        reached = "met" if (verdict.ratio or 0.0) >= FLOORS[side] else "missed"
        print(f"plan against {side}: {verdict.sentence()} (floor {FLOORS[side]}x: {reached})")


if __name__ == "__main__":
    main()
