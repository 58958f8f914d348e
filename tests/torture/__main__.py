"""All of the torture, in one table: `python -m torture`, in the folder of the tests.

Names of parts as arguments do these alone, each as often as it says: `python -m torture damage
train_torch=10`. A name may be the beginning of several: `train` is that of each backend. Two parts
run at a time, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from torture.asking import ask, cases
from torture.damage import damage
from torture.faults import fail_everywhere
from torture.forgery import forge
from torture.killing import kill
from torture.outcome import Outcome, table
from torture.racing import race
from torture.small_disk import close, fill
from torture.studies import studies
from torture.told import tell
from torture.training import train
from torture.untrusted import read_untrusted

# How often, and what is called with that and an empty folder; 0 where the part itself knows.
Part = tuple[int, Callable[[int, Path], Outcome]]
BACKENDS = ("torch", "jax", "tensorflow")
AT_A_TIME = 2
ALONE = "--alone"


def _asked(backend: str, count: int, folder: Path) -> Outcome:
    return ask(backend, cases(count), folder)


# The longest begin, so that the last ones end together.
PARTS: dict[str, Part] = {
    **{f"train_{backend}": (100, partial(train, backend)) for backend in BACKENDS},
    **{f"ask_{backend}": (24, partial(_asked, backend)) for backend in BACKENDS},
    "study_train": (20, partial(studies, "train")),
    "study_optimize": (100, partial(studies, "optimize")),
    "study_ablate": (50, partial(studies, "ablate")),
    "study_compare": (50, partial(studies, "compare")),
    "tell": (10_000, tell),
    "untrusted": (10_000, read_untrusted),
    "kill": (200, kill),
    "race": (200, race),
    "fill": (50, lambda count, folder: fill(count, folder / "disk")),
    "close": (0, lambda _, folder: close(folder / "disk")),
    "faults": (0, lambda _, folder: fail_everywhere(folder)),
    "forge": (10_000, forge),
    "damage": (1000, damage),
}


def main(names: list[str]) -> int:
    """Do all of it, or what is named, print the figures, and return 1 if anything failed."""
    if names[:1] == [ALONE]:
        return _alone(names[1], int(names[2]), Path(names[3]))
    _hear_interrupts()
    chosen = [part for name in names for part in _named(name)] if names else _named("")
    console, rows = Console(), []
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool, tempfile.TemporaryDirectory() as folder:
        begun = [pool.submit(_done, name, count, Path(folder)) for name, count in chosen]
        try:
            for ended in as_completed(begun):
                rows.append(ended.result())
                _tell(console, *rows[-1])
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            console.print("Interrupted: what was done until then.")
    order = [name for name, _ in chosen]
    console.print(table(row[1:] for row in sorted(rows, key=lambda row: order.index(row[0]))))
    console.print(f"{(time.perf_counter() - start) / 60:.1f} minutes, {AT_A_TIME} at a time.")
    return int(any(outcome.failures for _, outcome, _ in rows) or len(rows) < len(chosen))


def _hear_interrupts() -> None:
    """A shell mutes Ctrl-C for what it runs in the background, and for all that that starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _tell(console: Console, name: str, outcome: Outcome, seconds: float) -> None:
    for failure in outcome.failures[:10]:
        console.print(failure, style="red", markup=False)
    told = f"{outcome.tries} times, {len(outcome.failures)} failed"
    console.print(f"{name}: {told}, {seconds:.0f} s", style="dim", markup=False)


def _named(name: str) -> list[tuple[str, int]]:
    """Return the parts that are meant, each with how often it is done."""
    start, _, count = name.partition("=")
    found = [part for part in PARTS if part == start] or [p for p in PARTS if p.startswith(start)]
    if not found:
        raise SystemExit(f"no part '{start}': there are {', '.join(PARTS)}")
    return [(part, int(count or PARTS[part][0])) for part in found]


def _done(name: str, count: int, folder: Path) -> tuple[str, Outcome, float]:
    """Do a part in a process of its own: some put a faulty system in the place of theirs."""
    start, file = time.perf_counter(), folder / f"{name}.json"
    # Two at a time that take both cores each would wait for one another.
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "torture", ALONE, name, str(count), str(file)]
    code = subprocess.run(words, env=variables, check=False).returncode
    if file.exists():
        outcome = Outcome(**json.loads(file.read_text(encoding="utf-8")))
    else:
        outcome = Outcome(name, failures=[f"it ended with code {code}, and without figures"])
    return name, outcome, time.perf_counter() - start


def _alone(name: str, count: int, file: Path) -> int:
    _hear_interrupts()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = PARTS[name][1](count, Path(folder))
        except Exception:
            # The figures of the other parts are still wanted.
            outcome = Outcome(name, failures=[traceback.format_exc()])
        except KeyboardInterrupt:
            return 130
    file.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
