"""What does the guard cost? Windows of the same training, by turns without it, with it, and with
spikes looked for too.

Three runs of one task stand in one process and go on by turns, so that whatever else happens to
the machine happens to all of them. A window holds the same number of updates for each. Told are
the seconds an update, and for each turn their ratio to the run without the guard: the median, with
an interval of 95 % (bootstrap).

    python bench/guard.py                                # the MLP on JAX
    python bench/guard.py --net cnn --backend torch
    python bench/guard.py --turns 20 --seconds 2
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

KINDS: dict[str, dict[str, Any]] = {
    "without": {"guard.non_finite": False},
    "guard": {},
    "guard and spikes": {"guard.spike": 20.0},
}


def main() -> None:
    """Measure and print a table."""
    arguments = parse_arguments()
    os.environ["KERAS_BACKEND"] = arguments.backend
    runs = {kind: Turns(arguments, changes) for kind, changes in KINDS.items()}
    for run in runs.values():
        run.go(arguments.steps)
    seconds = max(run.go(10 * arguments.steps) for run in runs.values()) / (10 * arguments.steps)
    updates = max(1, round(arguments.seconds / seconds / arguments.steps)) * arguments.steps
    taken: dict[str, list[float]] = {kind: [] for kind in runs}
    for turn in range(arguments.turns):
        # Each kind comes first, second and last equally often.
        kinds = list(np.roll(list(runs), turn))
        for kind in kinds:
            taken[kind].append(runs[kind].go(updates) / updates)
    report(arguments, updates, {kind: np.array(values) for kind, values in taken.items()})


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="mlp")
    parser.add_argument("--backend", default="jax", choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.2, help="of a window")
    parser.add_argument("--examples", type=int, default=20_480, help="of an epoch")
    parser.add_argument("--steps", type=int, default=8, help="updates a call")
    return parser.parse_args()


class Turns:
    """A run that goes on by so many updates at a time."""

    def __init__(self, arguments: argparse.Namespace, changes: dict[str, Any]) -> None:
        import net_tasks
        from slipstream import Data
        from slipstream.engine.build import build
        from slipstream.engine.feed import Feed
        from slipstream.engine.open_program import open_for
        from slipstream.engine.own_loop import OwnLoop
        from slipstream.engine.rates import rates_of
        from slipstream.engine.recorder import Recorder

        task = getattr(net_tasks, arguments.net)
        # Epochs of a usual length: each ends with an evaluation, before which the guard looks.
        times = max(1, arguments.examples // task.data().train.num_examples)
        data = task.data()
        train = data.train.take(np.tile(np.arange(data.train.num_examples), times))
        data = Data(train, data.validation)
        plan = net_tasks.PLAN.edit(
            {
                "runtime.backend": arguments.backend,
                "runtime.steps_per_execution": arguments.steps,
                "batch.remainder": "drop",
                "duration.epochs": 10_000,
                "duration.restore_best": False,
                **changes,
            }
        )
        feed = Feed(data.train, plan)
        rates = rates_of(plan, feed)
        built = build(task, plan, data, float(rates[0]))
        program, recorder = open_for(built, plan, feed), Recorder(task, plan, None, ())
        self._loop = OwnLoop(built, program, feed, rates, data, plan, recorder)

    def go(self, updates: int) -> float:
        """Make so many updates; returns the seconds they took."""
        from slipstream.engine.limits import Limits

        start = time.perf_counter()
        self._loop.run(Limits(updates=self._loop.update + updates))
        return time.perf_counter() - start


def report(
    arguments: argparse.Namespace, updates: int, taken: dict[str, np.ndarray[Any, Any]]
) -> None:
    """Print what the turns took."""
    print(f"{arguments.net} on {arguments.backend}, {arguments.turns} turns of {updates} updates")
    print("| kind | ms an update | ratio to none | 95 % interval |")
    print("|---|---|---|---|")
    draw = np.random.default_rng(0)
    for kind, values in taken.items():
        ratios = values / taken["without"]
        drawn = draw.choice(ratios, (10_000, len(ratios)))
        low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
        median, ratio = np.median(values) * 1e3, np.median(ratios)
        print(f"| {kind} | {median:.4g} | {ratio:.4f} | {low:.4f} to {high:.4f} |")


if __name__ == "__main__":
    main()
