"""Trainings that are killed at random moments and gone on with, against one that is not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slipstream.checkpoint import CheckpointStore
from torture.outcome import Outcome

TESTS = Path(__file__).parents[1]
LONGEST_SECONDS = 1.5
# So many of the kills wait, after that, for the next checkpoint that is being written.
IN_A_SAVE, MOST_SECONDS_FOR_A_SAVE = 0.4, 5.0
# A checkpoint is made after each call of two updates: one may be under way, and one may wait.
MOST_LOST = 6


@dataclass(frozen=True)
class Kill:
    """When a sitting is killed.

    Args:
        seconds: After its first update.
        in_a_save: Whether it then waits until a checkpoint is being written.
    """

    seconds: float
    in_a_save: bool


@dataclass
class Sitting:
    """What came of one process.

    Args:
        code: Its exit code.
        resumed: After which update it went on.
        made: The last update that it said was made.
        error: What it said last, in case it failed.
    """

    code: int
    resumed: int
    made: int
    error: str


def train(backend: str, count: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill a training so many times, going on each time, until it ends; then begin another.

    Each is to end as the one that was never killed: the same weights, optimizer, random state and
    history, bit for bit. And no sitting loses more than what is under way.
    """
    outcome, draw = Outcome(f"a training killed, {backend}"), random.Random(seed)
    whole = folder / "whole"
    outcome.expect(_sit(backend, whole, None).code == 0, "it does not train at all")
    while outcome.tries < count and not outcome.failures:
        run, made = folder / f"run_{outcome.tries}", 0
        while True:
            kill = _kill_drawn(draw) if outcome.tries < count else None
            sat = _sit(backend, run, kill)
            outcome.expect(made - sat.resumed <= MOST_LOST, f"{made} made, then {sat}")
            if sat.code == 0:
                break
            outcome.tries += 1
            made = sat.made
            outcome.expect(sat.code == -9, f"ended by itself: {sat}")
            if outcome.failures:
                return outcome
            outcome.count("while a checkpoint was written", bool(_parts(run)))
        outcome.count("trainings compared")
        for difference in differences(whole, run):
            outcome.expect(False, difference)
    return outcome


def _kill_drawn(draw: random.Random) -> Kill:
    return Kill(draw.uniform(0.0, LONGEST_SECONDS), draw.random() < IN_A_SAVE)


def _parts(run: Path) -> list[Path]:
    return [path for path in run.glob("checkpoints/*") if path.suffix == ".part"]


def _kill_when(process: subprocess.Popen[str], folder: Path, kill: Kill) -> None:
    time.sleep(kill.seconds)
    deadline = time.monotonic() + MOST_SECONDS_FOR_A_SAVE
    while kill.in_a_save and not _parts(folder) and time.monotonic() < deadline:
        if process.poll() is not None:
            return
    process.kill()


def _sit(backend: str, folder: Path, kill: Kill | None) -> Sitting:
    """Train in a process of its own; kill it at a moment after its first update."""
    variables = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "torture.sitting", str(folder)],
        cwd=TESTS,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    errors: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    said: dict[str, int] = {"resumed": 0, "made": 0}
    killer = threading.Thread(target=_kill_when, args=(process, folder, kill), daemon=True)
    for line in process.stdout:
        what, _, update = line.partition(" ")
        if what in said and update.strip().isdigit():
            said[what] = int(update)
        if what == "made" and kill is not None and killer.ident is None:
            killer.start()
    code = process.wait()
    if killer.ident is not None:
        killer.join()
    reader.join()
    process.stdout.close()
    process.stderr.close()
    return Sitting(code, said["resumed"], said["made"], "".join(errors[-3:]))


def differences(whole: Path, run: Path) -> list[str]:
    """Say in what the last checkpoints of two runs differ, seconds aside."""
    one, two = (CheckpointStore(folder).latest() for folder in (whole, run))
    if one is None or two is None:
        return ["nothing is kept"]
    ours, theirs = one.snapshot, two.snapshot
    found = [
        f"other {name}"
        for name in sorted({*ours.arrays, *theirs.arrays})
        if name not in ours.arrays
        or name not in theirs.arrays
        or not np.array_equal(ours.arrays[name], theirs.arrays[name])
    ]
    known, kept = ours.values["recorder"], theirs.values["recorder"]
    names = ("best", "since_best", "signals")
    found += [f"other {name}" for name in names if repr(known[name]) != repr(kept[name])]
    if ours.values["observers"] != theirs.values["observers"]:
        found.append("other callbacks")
    histories = [
        [{**point, "seconds": 0.0} for point in values["points"]] for values in (known, kept)
    ]
    return found if repr(histories[0]) == repr(histories[1]) else [*found, "another history"]
