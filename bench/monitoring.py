"""What does monitoring cost? Epochs of one training, by turns with none, scalars and histograms.

Trains a net of `nets.py` in one process. By turns nothing is written after an epoch, or the scalars
of TensorBoard are, or scalars and a look into all layers with histograms of weights, gradients and
activations. So neighbours in time are compared, and what the machine does to all of them drops out.
Prints the median seconds of an epoch of each kind, the median ratio to the epoch without any of the
same turn with an interval of 95 % (bootstrap), and the seconds that monitoring itself took, by the
clock around it: where an epoch is longer, that is the smaller share of it.

    python bench/monitoring.py                       # the CNN on PyTorch, epochs of 8,192 examples
    python bench/monitoring.py --backend jax --net mlp --examples 60000
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

KINDS = ("none", "scalars", "histograms")


def main() -> None:
    """Measure, and print a line for each kind."""
    arguments = parse_arguments()
    os.environ["KERAS_BACKEND"] = arguments.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from net_tasks import PLAN
    from nets import BATCH, BUILDERS, arrays
    from slipstream import Data, Split, Task
    from slipstream.engine import train

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
    # The first turn compiles.
    epochs = len(KINDS) * (arguments.turns + 1) + 1
    plan = PLAN.edit(
        {
            "runtime.backend": arguments.backend,
            "duration.epochs": epochs,
            "monitoring.layers_every": len(KINDS),
            "monitoring.histograms": True,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        by_turns = ByTurns(Path(folder))
        record = train(task, plan, data=data, folder=Path(folder), observers=[by_turns])
        if record.failure is not None:
            raise SystemExit(f"{record.failure.kind}: {record.failure.message}")
        size = sum(file.stat().st_size for file in Path(folder).glob("events.*"))
    report(arguments, by_turns, size)


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="cnn")
    parser.add_argument("--backend", default="torch", choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--examples", type=int, default=8192, help="of an epoch")
    parser.add_argument("--turns", type=int, default=7)
    return parser.parse_args()


class ByTurns:
    """Observer that hands events on to TensorBoard's writer after two epochs of three."""

    def __init__(self, folder: Path) -> None:
        from slipstream.observers import TensorBoardWriter

        self._writer = TensorBoardWriter(folder)
        self.evaluated_at: list[float] = []
        self.written = dict.fromkeys(KINDS, 0.0)
        self.looked = 0.0

    def __call__(self, event: Any) -> None:
        """Take the time, and hand on what this epoch's kind writes."""
        from slipstream.engine import Evaluated, Finished, Looked, Progress, Started

        now = time.perf_counter()
        if isinstance(event, Evaluated):
            self.evaluated_at.append(now)
        if isinstance(event, Finished):
            self.looked = event.record.timings.monitor_seconds
        # Looks come after every third evaluation: that is the kind with histograms.
        kind = KINDS[(len(self.evaluated_at) - 1) % len(KINDS)]
        if kind == "none" and not isinstance(event, Started | Finished):
            return
        self._writer(event)
        if isinstance(event, Evaluated | Looked | Progress):
            self.written[kind] += time.perf_counter() - now


def report(arguments: argparse.Namespace, by_turns: ByTurns, size: int) -> None:
    """Print what an epoch of each kind takes."""
    spans = [end - start for start, end in pairwise(by_turns.evaluated_at)]
    # The span that begins with evaluation n holds what is done after it.
    kinds = [KINDS[place % len(KINDS)] for place in range(len(spans))]
    by_kind = {
        kind: [span for span, its in zip(spans, kinds, strict=True) if its == kind][1:]
        for kind in KINDS
    }
    turns = min(map(len, by_kind.values()))
    print(
        f"{arguments.net} on {arguments.backend}, {arguments.examples:,} examples an epoch, "
        f"{turns} turns, {size / 2**20:.1f} MiB of events"
    )
    plain = by_kind["none"][:turns]
    for kind in KINDS:
        own = by_kind[kind][:turns]
        ratios = np.array(own) / np.array(plain)
        low, high = interval(ratios)
        print(
            f"{kind:10} {median(own):.3f} s an epoch ({min(own):.3f} to {max(own):.3f}), "
            f"{median(ratios):.3f} of none ({low:.3f} to {high:.3f})"
        )
    evaluations = len(by_turns.evaluated_at) / len(KINDS)
    scalars = by_turns.written["scalars"] / evaluations
    # The clock of looks holds what observers do with them.
    looks = by_turns.looked / (evaluations + 1)
    base = median(plain)
    print(
        f"by the clock around it: scalars {scalars:.4f} s an epoch, {scalars / base:.2%}; a look "
        f"with histograms {looks:.3f} s, {looks / base:.2%}"
    )


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """Return the bootstrap's interval of 95 % of the median."""
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
