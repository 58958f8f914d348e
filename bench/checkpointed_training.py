"""What do checkpoints cost a training? Whole trainings by turns without, each epoch, and auto.

Trains a net of `nets.py` in one process, again and again; each turn has one training of each kind,
in another order, so that what the machine does falls on all of them. Prints the median seconds of a
training by its own clock (training, evaluation, checkpoints; without building and compiling), the
median ratio to the one without any of the same turn with an interval of 95 % (bootstrap), and, by
the clock around it, the share of its time that training waits for checkpoints.

    python bench/checkpointed_training.py                       # the CNN on PyTorch
    python bench/checkpointed_training.py --backend jax --net mlp --examples 30000
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

KINDS = ("off", "1 epoch", "auto")


def main() -> None:
    """Measure, and print a line for each kind."""
    arguments = parse_arguments()
    os.environ["KERAS_BACKEND"] = arguments.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    told: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for turn in range(arguments.turns + 1):
        for place in range(len(KINDS)):
            kind = KINDS[(turn + place) % len(KINDS)]
            record = trained(arguments, kind)
            # The first turn warms up.
            if turn > 0:
                seconds[kind].append(seconds_of(record))
                told[kind].append(record.checkpoints)
    print(
        f"{arguments.net} on {arguments.backend}, {arguments.epochs} epochs of "
        f"{arguments.examples:,} examples, {arguments.turns} turns"
    )
    for kind in KINDS:
        print(line(kind, seconds[kind], seconds[KINDS[0]], told[kind]))


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="cnn")
    parser.add_argument("--backend", default="torch", choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--examples", type=int, default=4096, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--turns", type=int, default=5)
    return parser.parse_args()


def trained(arguments: argparse.Namespace, kind: str) -> Any:
    """Return the record of one training."""
    from net_tasks import PLAN
    from nets import BATCH, BUILDERS, arrays
    from slipstream import Data, Split, Task
    from slipstream.checkpoint.every import Every
    from slipstream.engine import Keeping, train

    x, y = arrays(arguments.net)
    chosen = np.resize(np.arange(len(x)), arguments.examples)
    data = Data(Split(x[chosen], y[chosen]), Split(x[:BATCH], y[:BATCH]))
    task = Task(
        model=BUILDERS[arguments.net],
        data=lambda: data,
        loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
        metrics=("accuracy",),
        monitor="val_loss",
        name=arguments.net,
    )
    changes = {"runtime.backend": arguments.backend, "duration.epochs": arguments.epochs}
    keeping = Keeping(Every.parse(kind)) if kind != KINDS[0] else None
    with tempfile.TemporaryDirectory() as folder:
        record = train(task, PLAN.edit(changes), data=data, folder=Path(folder), keeping=keeping)
    if record.failure is not None:
        raise SystemExit(f"{record.failure.kind}: {record.failure.message}")
    return record


def seconds_of(record: Any) -> float:
    """Return what a training took that was built and compiled."""
    timings = record.timings
    compiled = timings.build_seconds + timings.compile_seconds
    return float(timings.clock_seconds - compiled)


def line(kind: str, own: list[float], plain: list[float], told: list[Any]) -> str:
    """Return what a kind of training takes."""
    ratios = np.array(own) / np.array(plain)
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    text = (
        f"{kind:8} {median(own):.2f} s ({min(own):.2f} to {max(own):.2f}), {median(ratios):.3f} of "
        f"none ({low:.3f} to {high:.3f})"
    )
    if told[0] is None:
        return text
    waits = [one.wait_seconds / whole for one, whole in zip(told, own, strict=True)]
    return (
        f"{text}; {told[0].count} checkpoints of {told[0].bytes / 2**20:.1f} MiB, waited for "
        f"{median(waits):.2%} of it, {max(waits):.2%} at most"
    )


if __name__ == "__main__":
    main()
