"""All of the torture, in one table: `python -m torture`, in the folder of the tests.

Names of parts as arguments do these alone, each as often as it says: `python -m torture damage
train_torch=10`. A name may be the beginning of several: `train` is that of each backend.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
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


def _asked(backend: str, count: int, folder: Path) -> Outcome:
    return ask(backend, cases(count), folder)


PARTS: dict[str, Part] = {
    "damage": (1000, damage),
    "forge": (10_000, forge),
    "untrusted": (10_000, read_untrusted),
    "tell": (10_000, tell),
    "faults": (0, lambda _, folder: fail_everywhere(folder)),
    "kill": (200, kill),
    "race": (200, race),
    "fill": (50, lambda count, folder: fill(count, folder / "disk")),
    "close": (0, lambda _, folder: close(folder / "disk")),
    "study_compare": (50, partial(studies, "compare")),
    "study_ablate": (50, partial(studies, "ablate")),
    "study_optimize": (100, partial(studies, "optimize")),
    **{f"ask_{backend}": (24, partial(_asked, backend)) for backend in BACKENDS},
    **{f"train_{backend}": (100, partial(train, backend)) for backend in BACKENDS},
}


def main(names: list[str]) -> int:
    """Do all of it, or what is named, print the figures, and return 1 if anything failed."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell mutes Ctrl-C for what it runs in the background, and for all that that starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = [part for name in names for part in _named(name)] if names else _named("")
    console, rows = Console(), []
    try:
        for name, count, act in chosen:
            start = time.perf_counter()
            outcome = _done(name, count, act)
            rows.append((outcome, time.perf_counter() - start))
            for failure in outcome.failures[:10]:
                console.print(failure, style="red", markup=False)
            told = f"{outcome.tries} times, {len(outcome.failures)} failed"
            console.print(f"{name}: {told}, {rows[-1][1]:.0f} s", style="dim", markup=False)
    except KeyboardInterrupt:
        console.print("Interrupted: what was done until then.")
    console.print(table(rows))
    return int(any(outcome.failures for outcome, _ in rows) or len(rows) < len(chosen))


def _named(name: str) -> list[tuple[str, int, Callable[[int, Path], Outcome]]]:
    """Return the parts that are meant, each with how often it is done."""
    start, _, count = name.partition("=")
    found = [part for part in PARTS if part == start] or [p for p in PARTS if p.startswith(start)]
    if not found:
        raise SystemExit(f"no part '{start}': there are {', '.join(PARTS)}")
    return [(part, int(count or PARTS[part][0]), PARTS[part][1]) for part in found]


def _done(name: str, count: int, act: Callable[[int, Path], Outcome]) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return act(count, Path(folder))
        except Exception:
            # The figures of the other parts are still wanted.
            return Outcome(name, failures=[traceback.format_exc()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
