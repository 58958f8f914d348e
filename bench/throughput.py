"""How fast is training, against Keras' fit and against the best loops written by hand?

One table from one run: every side in a process of its own that stays alive, windows interleaved
(A B C, C B A, ...), medians, ratios with 95 % intervals, peak memory. Raw windows go to a file of
JSON; started again with the same file, it only measures what is missing.

    python bench/throughput.py                                   # everything: hours
    python bench/throughput.py --nets mlp,cnn --windows 3
    python bench/throughput.py --sides "keras,slipstream torch"  # sides that begin with these
    python bench/throughput.py --table                           # print the table of the file again
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nets import SHAPES
from sides import RunningSide, Side, SideError, gpu_name, sides_of
from slipstream.environment import environment
from slipstream.files import write_text
from throughput_table import print_tables

Results = dict[str, Any]


def main() -> int:
    """Measure what is missing and print the tables; return 2 for a file that does not fit."""
    arguments = parse_arguments()
    here = environment().model_dump()
    if gpu_name():
        here["machine"]["gpu"] = gpu_name()
        # Several processes share it: none may take it all.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    results: Results = {"environment": here, "seconds": arguments.seconds, "nets": {}}
    if arguments.out.exists():
        results = json.loads(arguments.out.read_text(encoding="utf-8"))
    if not arguments.table:
        if results["environment"] != here or results["seconds"] != arguments.seconds:
            print(
                f"Expected windows of this machine, these versions and {arguments.seconds:g} s in "
                f"{arguments.out}; got others. Name another file with --out.",
                file=sys.stderr,
            )
            return 2
        for net in arguments.nets:
            measure(net, arguments, results)
    print_tables(results)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", type=names, default=tuple(SHAPES), help="default: all")
    parser.add_argument("--sides", type=words, default=("",), help="beginnings of names (all)")
    parser.add_argument("--windows", type=int, default=7, help="of each side (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="each window takes (2)")
    parser.add_argument("--out", type=Path, default=Path("runs/throughput.json"))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    return parser.parse_args()


def words(text: str) -> tuple[str, ...]:
    """Return what commas part."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def names(text: str) -> tuple[str, ...]:
    """Return names of nets; refuses unknown ones."""
    unknown = set(words(text)) - set(SHAPES)
    if unknown:
        raise argparse.ArgumentTypeError(f"no net {unknown}; there are {', '.join(SHAPES)}")
    return words(text)


def measure(net: str, arguments: argparse.Namespace, results: Results) -> None:
    """Measure the windows of a net that the results do not hold yet."""
    known = results["nets"].setdefault(net, {})
    chosen = [
        side
        for side in sides_of(net)
        if side.name.startswith(arguments.sides)
        and len(known.get(side.name, {}).get("windows", ())) < arguments.windows
    ]
    if not chosen:
        return
    logs = arguments.out.with_suffix(".logs")
    with contextlib.ExitStack() as stack:
        running: dict[Side, RunningSide] = {}
        for side in chosen:
            entry = {**asdict(side), "windows": [], "error": "", "peak_memory_bytes": 0}
            entry = known.setdefault(side.name, entry)
            try:
                running[side] = stack.enter_context(RunningSide(net, side, logs))
                entry |= {"start_seconds": running[side].start_seconds, "error": ""}
            except SideError as error:
                entry["error"] = str(error)
            told = entry["error"] or f"started in {entry['start_seconds']:.1f} s"
            print(f"{net}: {side.name}: {told}", flush=True)
        take_windows(net, running, arguments, results)


def take_windows(
    net: str, running: dict[Side, RunningSide], arguments: argparse.Namespace, results: Results
) -> None:
    """Measure one window of each side in turn, forwards and backwards, until all have enough."""
    known = results["nets"][net]
    backwards = False
    while running:
        for side in list(running)[:: -1 if backwards else 1]:
            entry = known[side.name]
            try:
                window = running[side].window(arguments.seconds)
            except SideError as error:
                entry["error"] = str(error)
                del running[side]
                continue
            entry["windows"].append(window.examples_per_second)
            entry["peak_memory_bytes"] = window.peak_memory_bytes
            entry["peak_device_bytes"] = window.peak_device_bytes
            if len(entry["windows"]) >= arguments.windows:
                del running[side]
        results.setdefault("load", {}).setdefault(net, []).append(os.getloadavg()[0])
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(arguments.out, json.dumps(results, indent=1))
        backwards = not backwards


if __name__ == "__main__":
    sys.exit(main())
