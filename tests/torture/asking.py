"""Trainings that are asked to end, by Ctrl-C or SIGTERM, at moments of our choice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import psutil

from slipstream.checkpoint import CheckpointStore
from slipstream.commands.folders import REPORT_FILE
from slipstream.record import METRICS_FILE, RECORD_FILE
from torture.outcome import Outcome
from torture.training import differences

TASK = Path(__file__).with_name("moments.py")
# Which call stands for what, and how many of them a sitting may have behind it.
CALLS = {"compile": ("train", 1), "step": ("train", 5), "evaluation": ("evaluate", 2)}
CALLS |= {"checkpoint": ("save", 3)}
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# A moment that is over soon, and one that nobody waits for.
SHORT, LONG = 0.5, 60.0
MOST_SECONDS, OPEN_SECONDS = 10.0, 240.0
UPDATES_APART = 4
# What a sitting may get on before it is asked, in epochs.
EPOCHS_OF_A_SITTING = 3


@dataclass(frozen=True)
class Case:
    """When a training is asked to end, and how.

    Args:
        moment: A key of CALLS.
        number: The first signal: the other one follows, and changes nothing.
        seconds: How long the moment lasts.
        everybody: Whether workers get the signal too, as of a service that is stopped.
    """

    moment: str
    number: signal.Signals
    seconds: float = SHORT
    everybody: bool = False


def cases(count: int, seed: int = 0) -> list[Case]:
    """Return so many cases: each moment with each signal, short and long, then again."""
    draw = random.Random(seed)
    # A signal to everybody asks for two things at once where a moment does not end.
    kinds = [(SHORT, False), (SHORT, True), (LONG, False)]
    made = [
        Case(moment, number, seconds, everybody)
        for moment, number, (seconds, everybody) in product(CALLS, SIGNALS, kinds)
    ]
    draw.shuffle(made)
    return list(islice((case for _ in range(1 + count // len(made)) for case in made), count))


def ask(
    backend: str, asked: Sequence[Case], folder: Path, *, to_the_end: bool = True, seed: int = 0
) -> Outcome:
    """Ask a training to end in one sitting after the other, and let the last one end by itself.

    Each is gone within ten seconds, with a code that names the signal, and keeps every update that
    it made; where a moment does not end, no more is lost than was not yet written. The run ends as
    one that nobody asked, bit for bit.
    """
    outcome, draw = Outcome(f"asked to end, {backend}"), random.Random(seed)
    epochs = EPOCHS_OF_A_SITTING * (len(asked) + 1)
    run, whole = folder / "run", folder / "whole"
    for case in asked:
        outcome.tries += 1
        outcome.count(case.moment)
        outcome.count("that would have lasted a minute", case.seconds == LONG)
        _ask_once(backend, case, run, epochs, draw, outcome)
        if outcome.failures:
            return outcome
    if to_the_end:
        for place in (whole, run):
            process = _begun(backend, place, epochs, "")
            _, said = process.communicate()
            outcome.expect(process.returncode == 0, f"{place.name} does not end: {said[-500:]}")
        if not outcome.failures:
            outcome.failures += differences(whole, run)
            outcome.expect(_metrics(whole) == _metrics(run), "other lines of metrics")
    return outcome


def _ask_once(
    backend: str, case: Case, run: Path, epochs: int, draw: random.Random, outcome: Outcome
) -> None:
    before = _update_kept(run)
    call, most = CALLS[case.moment]
    number = draw.randint(1 if case.moment != "step" else 2, most)
    process = _begun(backend, run, epochs, f"{call} {number} {case.seconds}")
    mark, told = run.with_suffix(".mark"), f"{case}, call {number}"
    try:
        worker = _marked(mark, process)
        begun = time.monotonic()
        _, said = _ended_by(process, case, worker)
        seconds = time.monotonic() - begun
    except TimeoutError:
        process.kill()
        said = process.communicate()[1]
        outcome.expect(False, f"{told}: that moment never came: {said[-500:]}")
        return
    finally:
        process.kill()
        mark.unlink(missing_ok=True)
    outcome.expect(seconds < MOST_SECONDS, f"{told}: gone after {seconds:.1f} s")
    code = SIGNALS[case.number]
    outcome.expect(process.returncode == code, f"{told}: code {process.returncode}: {said[-500:]}")
    for wanted in ("Interrupted. What was finished is kept in", "to go on: slipstream fit"):
        outcome.expect(wanted in said, f"{told}: not told '{wanted}': {said[-500:]}")
    outcome.expect("Traceback" not in said, f"{told}: {said[-500:]}")
    outcome.expect(not psutil.pid_exists(worker), f"{told}: its worker goes on")
    # Without a word of the worker's, what it made is counted by its calls.
    made = before + (2 * (number - 1) if call == "train" else 0)
    _judge(run, case, before, made, told, outcome)


def _judge(run: Path, case: Case, before: int, made: int, told: str, outcome: Outcome) -> None:
    record = json.loads((run / RECORD_FILE).read_text())
    outcome.expect(record["outcome"] == "interrupted", f"{told}: {record['outcome']}")
    outcome.expect((run / REPORT_FILE).exists(), f"{told}: no report")
    kept = _update_kept(run)
    if case.seconds == SHORT:
        same = kept == record["updates"]
        outcome.expect(same, f"{told}: {kept} kept, {record['updates']} made")
        outcome.expect(kept >= made, f"{told}: {kept} kept, {made} made")
    else:
        lost = kept < before or made - kept > UPDATES_APART
        outcome.expect(not lost, f"{told}: {kept} kept, {made} made, {before} before")


def _begun(backend: str, run: Path, epochs: int, moment: str) -> subprocess.Popen[str]:
    settings = {
        "runtime.backend": backend,
        "runtime.loop": "slipstream",
        "runtime.steps_per_execution": 2,
        "batch.size": 8,
        "optimizer.name": "adam",
        "duration.epochs": epochs,
    }
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    variables = {**os.environ, "TORTURE_MOMENT": moment, "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables["TORTURE_MARK"] = str(run.with_suffix(".mark"))
    command = ["fit", str(TASK), "--out", str(run), "--resume", *changes]
    command += ["--checkpoint-every", f"{UPDATES_APART} updates"]
    return subprocess.Popen(
        [sys.executable, "-m", "slipstream", *command],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _marked(mark: Path, process: subprocess.Popen[str]) -> int:
    """Wait until the moment has come; returns the worker's id."""
    deadline = time.monotonic() + OPEN_SECONDS
    while not mark.exists():
        if time.monotonic() > deadline or process.poll() is not None:
            raise TimeoutError
        time.sleep(0.01)
    return int(mark.read_text())


def _ended_by(process: subprocess.Popen[str], case: Case, worker: int) -> tuple[str, str]:
    process.send_signal(case.number)
    if case.everybody:
        os.kill(worker, signal.SIGTERM)
    time.sleep(0.2)
    # The other one, and the same one again.
    for number in SIGNALS:
        process.send_signal(number)
    return process.communicate(timeout=OPEN_SECONDS)


def _update_kept(run: Path) -> int:
    found = CheckpointStore(run).latest() if run.exists() else None
    return found.snapshot.update if found is not None else 0


def _metrics(run: Path) -> list[dict[str, object]]:
    lines = (run / METRICS_FILE).read_text().splitlines()
    return [{**json.loads(line), "seconds": 0.0} for line in lines]
