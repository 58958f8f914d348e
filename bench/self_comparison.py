"""How often is a plan, compared with itself, called faster or slower?

Reads the runs of one plan, draws studies from them and prints how often the verdict tells the two
sides apart, which at most 5 % of studies may do. Both sides of a study are drawn from different
runs, without replacement: within a study no run is compared with itself or used twice.

    python bench/self_comparison.py RUNS            # a folder with run folders of one plan
    python bench/self_comparison.py                 # makes the runs first
    python bench/self_comparison.py RUNS --studies 1000 --seeds 5

Where runs share seeds (a plan on both sides of one comparison), a study pairs two runs with the
same seed, as a real one does; the share is also printed for pairs of any runs. The last lines
stretch the times of one side, to show that the verdict is not simply mute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from slipstream.errors import InputError, RecordError
from slipstream.plan import Plan, read_plan, write_plan
from slipstream.record import Point, Record, read_records
from slipstream.verdict import Verdict, compare

OUTCOMES = ("faster", "slower", "no_difference", "undecided")
LARGEST_SHARE = 0.05

Sides = tuple[list[Record], list[Record]]
Draw = Callable[[np.random.Generator], Sides]


def main() -> int:
    """Print the table; return 1 if equal plans are told apart too often, 2 for bad input."""
    arguments = parse_arguments()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.runs or make_runs(arguments, Path(scratch))
            records = read_one_plan(folder)
        target = arguments.target if arguments.target is not None else common_target(records)
        describe(records, target)
        return 1 if print_shares(records, target, arguments) > LARGEST_SHARE else 0
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="?", help="a folder with run folders of one plan")
    parser.add_argument("--studies", type=int, default=100, help="how many to draw (100)")
    parser.add_argument("--seeds", type=int, default=3, help="pairs in each study (3)")
    parser.add_argument("--target", type=float, help="default: the task's, or what all runs reach")
    parser.add_argument("--draw-seed", type=int, default=0, help="of the draws (0)")
    making = parser.add_argument_group("where no folder is given")
    making.add_argument("--task", default="digits", help="the task to train (digits)")
    making.add_argument("--plan", type=Path, help="default: Keras as it comes")
    making.add_argument("--make-seeds", type=int, default=12, help="two runs for each (12)")
    making.add_argument("--out", type=Path, help="keep the runs here")
    return parser.parse_args()


def make_runs(arguments: argparse.Namespace, scratch: Path) -> Path:
    """Let the command compare a plan with itself; return the folder it wrote."""
    plan = read_plan(arguments.plan) if arguments.plan else Plan().edit({"runtime.loop": "keras"})
    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / "plan.toml"
    write_plan(plan, file)
    out = arguments.out or scratch / "study"
    command = ["slipstream", "compare", arguments.task, str(file), str(file)]
    command += ["--seeds", str(arguments.make_seeds), "--out", str(out)]
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=True)
    return out


def read_one_plan(folder: Path) -> list[Record]:
    """Return the runs below the folder, or below its folder "runs"; refuses several plans."""
    records = list(read_records(folder)) or list(read_records(folder / "runs"))
    plans = {
        str(sorted((key, value) for key, value in record.plan.items() if key != "seeds"))
        for record in records
    }
    if len(plans) != 1:
        raise RecordError(
            f"runs of one plan below {folder}",
            f"{len(records)} runs of {len(plans)} plans",
            "Name the folder of a comparison of a plan with itself.",
        )
    return records


def common_target(records: Sequence[Record]) -> float:
    """Return the task's target, or else the value that every run reaches."""
    if records[0].target is not None:
        return float(records[0].target)
    best = [record.best_value for record in records if record.best_value is not None]
    if not best:
        raise RecordError("runs with a target or a best value", "none", "Name a --target.")
    return max(best) if records[0].mode == "min" else min(best)


def describe(records: Sequence[Record], target: float) -> None:
    """Print what the studies are drawn from."""
    first = records[0]
    times = np.array([record.seconds_to(target) for record in records])
    met = times[np.isfinite(times)]
    print(f"{len(records)} runs of one plan on {first.task}, backend {first.backend}")
    print(f"target {first.monitor} {target:g}, met by {len(met)}")
    if len(met):
        low, middle, high = np.quantile(met, (0, 0.5, 1))
        print(f"seconds to target: least {low:.2f}, median {middle:.2f}, most {high:.2f}")


def print_shares(records: list[Record], target: float, arguments: argparse.Namespace) -> float:
    """Print a line for each way of drawing; return the largest share of false verdicts."""
    ways = list(ways_to_draw(records, arguments.seeds))
    print(f"{arguments.studies} studies of {arguments.seeds} pairs each\n")
    print(f"{'pairs of':<22}{'true ratio':>10}", *(f"{name:>14}" for name in OUTCOMES))
    shares: list[float] = []
    for name, draw in ways:
        for stretch in (1.0, 1.2, 1.5, 2.0):
            counts = count_outcomes(draw, target, stretch, arguments)
            cells = (f"{counts[outcome] / arguments.studies:>14.1%}" for outcome in OUTCOMES)
            print(f"{name:<22}{stretch:>10g}", *cells)
            if stretch == 1:
                shares.append((counts["faster"] + counts["slower"]) / arguments.studies)
    print(f"\nequal plans told apart in {max(shares):.1%} of studies; {LARGEST_SHARE:.0%} allowed")
    return max(shares)


def ways_to_draw(records: list[Record], num_pairs: int) -> Iterator[tuple[str, Draw]]:
    """Yield the ways in which these runs can make a study, each with its name."""
    by_seed: dict[int, list[Record]] = {}
    for record in records:
        by_seed.setdefault(record.seed, []).append(record)
    twice = [runs for runs in by_seed.values() if len(runs) >= 2]
    if len(twice) >= num_pairs:
        yield "runs with one seed", lambda generator: draw_same_seed(twice, num_pairs, generator)
    if len(records) < 2 * num_pairs:
        raise RecordError(
            f"at least {2 * num_pairs} runs for studies of {num_pairs} pairs",
            f"{len(records)}",
            "Make more runs, or draw smaller studies with --seeds.",
        )
    yield "any runs", lambda generator: draw_any(records, num_pairs, generator)


def draw_same_seed(
    by_seed: Sequence[Sequence[Record]], num_pairs: int, generator: np.random.Generator
) -> Sides:
    """Draw seeds, and for each two different runs, which go to the sides by chance."""
    chosen = generator.choice(len(by_seed), num_pairs, replace=False)
    drawn = [generator.choice(len(by_seed[i]), 2, replace=False) for i in chosen]
    pairs = [(by_seed[i][j], by_seed[i][k]) for i, (j, k) in zip(chosen, drawn, strict=True)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def draw_any(records: Sequence[Record], num_pairs: int, generator: np.random.Generator) -> Sides:
    """Draw different runs for both sides and pair them by chance."""
    chosen = [records[i] for i in generator.choice(len(records), 2 * num_pairs, replace=False)]
    numbered = [
        record.model_copy(update={"seed": number % num_pairs})
        for number, record in enumerate(chosen)
    ]
    return numbered[:num_pairs], numbered[num_pairs:]


def count_outcomes(
    draw: Draw, target: float, ratio: float, arguments: argparse.Namespace
) -> Counter[str]:
    """Return how often each outcome comes up when the baseline is slowed by the ratio."""
    generator = np.random.default_rng(arguments.draw_seed)
    counts: Counter[str] = Counter()
    for _ in range(arguments.studies):
        candidate, baseline = draw(generator)
        verdict: Verdict = compare(
            candidate, [stretched(record, ratio) for record in baseline], target=target
        )
        counts[verdict.outcome] += 1
    return counts


def stretched(record: Record, ratio: float) -> Record:
    """Return the run as if all of it had taken so many times as long."""
    if ratio == 1:
        return record
    clock = record.timings.clock_seconds * ratio
    points: list[Point] = [
        point.model_copy(update={"seconds": point.seconds * ratio}) for point in record.points
    ]
    timings = record.timings.model_copy(update={"clock_seconds": clock})
    return record.model_copy(update={"points": points, "timings": timings})


if __name__ == "__main__":
    sys.exit(main())
