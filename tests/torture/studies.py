"""Studies, and their workers, that are killed at random moments and gone on with."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil

from slipstream.record import RECORD_FILE, read_record
from slipstream.tuning.confirm import AS_GIVEN, TUNED, WINNER
from torture.outcome import Outcome

TESTS = Path(__file__).parents[1]
LONGEST_SECONDS = 1.2
# Of a whole sitting, in case it gets stuck.
MOST_SECONDS = 180.0
# What differs between two studies that are the same: their places and times.
NOT_COMPARED = ("warnings", "environment")
# What must be the same in two runs of one plan and seed, their points besides.
THE_SAME = (
    "plan_digest", "backend", "seed", "outcome", "updates", "epochs", "best_value", "best_epoch",
    "final_values", "test_values",
)  # fmt: skip


@dataclass
class Sitting:
    """What came of one process: its exit code, who was killed before, and its last words."""

    code: int
    killed: list[str]
    error: str


def studies(command: str, count: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill a study or one of its workers so many times, going on each time, until it ends.

    Then another is begun. What was finished stays as it was, byte for byte; each ends with the runs
    and the trials of one that was never killed: none is lost, none is there twice, none is stuck.
    """
    outcome = Outcome(f"a study or its worker killed, {command}")
    draw, whole = random.Random(seed), folder / "whole"
    sat = _sit(command, whole, None, 0)
    outcome.expect(sat.code == 0, f"it does not run at all: {sat}")
    while outcome.tries < count and not outcome.failures:
        run = folder / f"study_{outcome.tries}"
        sat = None
        while sat is None or (sat.code != 0 and not outcome.failures):
            before = _finished(run)
            sat = _sit(command, run, draw, count - outcome.tries)
            outcome.tries += len(sat.killed)
            for name in sat.killed:
                outcome.count(name)
            # Without the process that looks at the task nothing begins, and it says so.
            told = "a worker" in sat.killed and "SIGKILL" in sat.error
            outcome.expect(sat.code in (0, -9) or told, f"ended by itself: {sat}")
            after = _finished(run)
            changed = [str(path) for path, text in before.items() if after.get(path) != text]
            outcome.expect(not changed, f"what was finished is another now: {changed}")
        for difference in _differences(command, whole, run):
            outcome.expect(False, difference)
        outcome.count("studies compared")
    return outcome


def _sit(command: str, folder: Path, draw: random.Random | None, kills: int) -> Sitting:
    """Run a study in a process; kill a worker of it or not, and then itself, where it gets so far.

    No training loses its worker twice in a row: what is killed twice counts as failed.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "torture.study_sitting", command, str(folder)],
        cwd=TESTS,
        env={**os.environ, "SLIPSTREAM_CACHE_DIR": str(folder.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    stuck = threading.Timer(MOST_SECONDS, process.terminate)
    stuck.start()
    killed: list[str] = []
    assert process.stdout is not None
    if process.stdout.readline() and draw is not None and kills > 0:
        victims = ["a study"] if kills == 1 or draw.random() < 0.5 else ["a worker", "a study"]
        for victim in victims:
            time.sleep(draw.uniform(0.0, LONGEST_SECONDS))
            if _kill(process, victim, draw):
                killed.append(victim)
    for _ in process.stdout:
        pass
    code = process.wait()
    stuck.cancel()
    reader.join()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return Sitting(code, killed, "".join(errors[-3:]))


def _kill(process: subprocess.Popen[str], victim: str, draw: random.Random) -> bool:
    """Kill a study's process or one that it started; returns whether there was one."""
    if process.poll() is not None:
        return False
    if victim == "a study":
        process.kill()
        return True
    try:
        workers = psutil.Process(process.pid).children()
        if workers:
            draw.choice(workers).kill()
    except psutil.NoSuchProcess:
        return False
    return bool(workers)


def _finished(folder: Path) -> dict[Path, bytes]:
    """Return what is finished, by its place: records, range tests, and stages."""
    found = {path: path.read_bytes() for path in folder.rglob("*.json") if path.parent != folder}
    study = folder / "study.json"
    stages = json.loads(study.read_text())["stages"] if study.exists() else {}
    return found | {folder / name: json.dumps(stage).encode() for name, stage in stages.items()}


def _differences(command: str, whole: Path, run: Path) -> list[str]:
    left = [path.name for path in run.rglob("*") if ".part" in path.name]
    found = [f"{', '.join(left)} is left"] if left else []
    if command == "optimize":
        return found + _lost_trials(whole, run)
    ours, theirs = (_records(folder / "runs") for folder in (whole, run))
    found += [f"other {name}" for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)]
    notes = [json.loads((folder / "command.json").read_text()) for folder in (whole, run)]
    # What is really trained takes other seconds each time.
    differ = {*NOT_COMPARED, *(["verdict"] if command == "train" else [])}
    for key in notes[0]:
        if key not in differ and notes[0][key] != notes[1][key]:
            found.append(f"other {key}")
    return found


def _records(folder: Path) -> dict[str, Any]:
    """Return what came of each run, seconds aside."""
    return {path.parent.name: _came_of(path.parent) for path in folder.glob(f"*/{RECORD_FILE}")}


def _came_of(run: Path) -> dict[str, Any]:
    record = read_record(run)
    points = [(point.step, point.epoch, point.values) for point in record.points]
    return {**{name: getattr(record, name) for name in THE_SAME}, "points": points}


def _lost_trials(whole: Path, run: Path) -> list[str]:
    """Say what is wrong with a study's trials, against those of one that was not killed."""
    ours, theirs = _trials(whole), _trials(run)
    found = [f"trial {one['number']} is {one['state']}" for one in theirs if not one["is_finished"]]
    # How many there are is a matter of time.
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            found.append(f"trial {one['number']} is {other} where it was {one}")
    told = json.loads((run / "study.json").read_text())["stages"]
    rows = [row["number"] for row in told["learn"]["result"]["trials"]]
    tried = [one["number"] for one in theirs if one["has_row"]]
    if sorted(rows) != tried or len(set(rows)) != len(rows):
        found.append(f"trials {sorted(rows)} are told, and {tried} were tried")
    raced = sorted(path.parent.name for path in run.glob("runs/*/record.json"))
    wanted = [f"{side}_seed{seed}" for side in (AS_GIVEN, TUNED, WINNER) for seed in range(3)]
    missing = [name for name in wanted if name not in raced]
    return found + ([f"no {', '.join(missing)} among {raced}"] if missing else [])


def _trials(folder: Path) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "optuna.journal"))
    storage = optuna.storages.JournalStorage(journal)
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "is_finished": trial.state.is_finished(),
            "params": trial.params,
            "values": trial.values,
            "has_row": "row" in trial.user_attrs,
        }
        for trial in optuna.load_study(study_name="learn", storage=storage).trials
    ]
