"""Time to a validation target: what Keras' own fit takes, and what a plan takes.

    python bench/time_to_target.py fashion_mnist [--seeds 3] [--plan FILE] [--out DIR]
    python bench/time_to_target.py digits --seeds 5

The baselines run `Model.fit` on TensorFlow in float32 as it comes. All sides build the same model
on the same data; building, compiling and evaluating are on the clock. Runs are interleaved, each
in a process of its own; a second call goes on where the first was interrupted. Prints seconds,
test metrics and the verdict on the plan against each baseline; figures go to bench/LOG.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slipstream.commands.look import launch_for, look
from slipstream.plan import Plan, read_plan
from slipstream.progress import Happening, Step
from slipstream.record import Record
from slipstream.task import AS_GIVEN
from slipstream.tuning.confirm import confirm, judge_sides

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A task, its baselines, and how many times faster the plan is to be than each."""

    task: str
    baselines: dict[str, Plan]
    floors: dict[str, float]


# Every side of the larger task ends when it meets the target: a baseline's epoch takes minutes.
KERAS = AS_GIVEN.edit({"duration.epochs": 10, "duration.stop_at_target": True})
CASES = {
    case.task: case
    for case in (
        Case(
            "fashion_mnist",
            {
                "sgd_0.01": KERAS.edit({"optimizer.name": "sgd", "schedule.peak": 0.01}),
                "adam_0.001": KERAS.edit({"optimizer.name": "adam", "schedule.peak": 0.001}),
            },
            {"sgd_0.01": 5.0, "adam_0.001": 2.5},
        ),
        Case("digits", {"as_given": AS_GIVEN}, {"as_given": 3.0}),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(CASES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--limit", type=float, help="clock seconds after which a run is ended")
    parser.add_argument("--baseline", action="append", help="only this one; may be repeated")
    chosen = parser.parse_args()
    case = CASES[chosen.task]
    folder = chosen.out or Path("runs") / f"bench_{case.task}"
    launch = launch_for(case.task, folder)
    facts, _ = look(launch, plan=AS_GIVEN)
    assert facts.target is not None
    plan = read_plan(chosen.plan or HERE / "plans" / f"{case.task}.toml")
    wanted = chosen.baseline or case.baselines
    sides = {name: case.baselines[name] for name in wanted} | {"plan": plan}
    records = confirm(
        launch, facts, sides, chosen.seeds, folder / "runs", tell, limit_seconds=chosen.limit
    )
    print_table(case, records, facts.target)


def tell(happening: Happening) -> None:
    if isinstance(happening, Step) and not happening.passing:
        print(happening.text, file=sys.stderr, flush=True)


def print_table(case: Case, records: dict[str, list[Record]], target: float) -> None:
    for side, runs in records.items():
        metric = runs[0].monitor.removeprefix("val_")
        tests = [(run.test_values or {}).get(metric, math.nan) for run in runs]
        print(
            f"{side}: seconds to {target} by seed {_list(run.seconds_to(target) for run in runs)}; "
            f"test {metric} {_list(tests, 4)}; epochs {_list((run.epochs for run in runs), 2)}; "
            f"examples/s {_list((run.examples_per_second for run in runs), 0)}; "
            f"compile {_list((run.timings.compile_seconds for run in runs), 2)} s"
        )
    for side, verdict in judge_sides(records, target, candidate="plan").items():
        met = "met" if (verdict.ratio or 0.0) >= case.floors[side] else "missed"
        print(f"plan against {side}: {verdict.sentence()} (floor {case.floors[side]}x: {met})")


def _list(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
