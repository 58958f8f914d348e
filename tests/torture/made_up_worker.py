"""A worker without Keras whose trainings are made up: the same plan and seed, the same record.

Run as `python -S made_up_worker.py FILE`, where FILE holds the facts of the task, a record to fill
in, and how many seconds a training lasts.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

UPDATES = 5

Say = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer requests as a worker does, until the manager is gone."""
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for line in sys.stdin:
        numbered = json.loads(line)
        number, request = numbered["number"], numbered["request"]

        def say(body: dict[str, Any], number: int = number) -> None:
            print(json.dumps({"number": number, "body": body}), flush=True)

        if request["do"] == "train":
            _train(request, given, say)
        elif request["do"] != "stop":
            say(_answer(request, given))
        if request["do"] == "quit":
            return


def _answer(request: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "open":
        backend = os.environ["KERAS_BACKEND"]
        return {"kind": "opened", "backend": backend, "import_seconds": 0.1, "load_seconds": 0.0}
    if request["do"] == "look":
        model = {"inputs": [], "outputs": [], "logged": []}
        return {"kind": "looked", "task": given["facts"], "model": model}
    if request["do"] == "probe":
        return {"kind": "probed", "compile_seconds": 0.1}
    if request["do"] == "measure":
        windows = [1e4] * 6
        return {"kind": "measured", "examples_per_second": windows, "peak_memory_bytes": 10}
    if request["do"] == "range_test":
        return {"kind": "ranged", "points": [[1e-3, 2.0], [1e-2, 3.0]]}
    return {"kind": "checked"} if request["do"] == "check" else {"kind": "done"}


def _train(request: dict[str, Any], given: dict[str, Any], say: Say) -> None:
    plan = request["plan"]
    say({"kind": "started", "total_updates": UPDATES, "updates_per_epoch": 1})
    points = [_point(plan, epoch) for epoch in range(1, UPDATES + 1)]
    for point in points:
        time.sleep(given["seconds"] / UPDATES)
        told = {name: point[name] for name in ("epoch", "seconds")}
        told |= {"update": point["step"], "total_updates": UPDATES, "examples_per_second": 1.0}
        say({"kind": "progress", **told})
    record = {**given["record"], **_record(request, points)}
    if request["folder"] is not None:
        _write(Path(request["folder"]), record, points)
    say({"kind": "trained", "record": {**record, "points": points}})


def _point(plan: dict[str, Any], epoch: int) -> dict[str, Any]:
    """The nearer the rate to 0.01, the sooner; and a little chance, by the seed."""
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).digest()
    chance = digest[epoch] / 256
    away = abs(math.log10(plan["schedule"]["peak"] / 0.01))
    accuracy = 0.98 * (1 - math.exp(-2 * epoch / (1 + away))) + 0.01 * chance
    seconds = epoch * (1.0 + 0.1 * chance)
    values = {"loss": 1 - accuracy, "accuracy": accuracy}
    values |= {f"val_{name}": value for name, value in values.items()}
    return {"step": epoch, "epoch": float(epoch), "seconds": seconds, "values": values}


def _record(request: dict[str, Any], points: list[dict[str, Any]]) -> dict[str, Any]:
    plan, last = request["plan"], points[-1]
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "plan": plan,
        "plan_digest": digest,
        "backend": plan["runtime"]["backend"],
        "seed": plan["seeds"]["seed"],
        "outcome": "completed",
        "updates": UPDATES,
        "epochs": float(UPDATES),
        "timings": {"clock_seconds": last["seconds"]},
        "best_value": last["values"]["val_accuracy"],
        "best_epoch": last["epoch"],
        "final_values": last["values"],
        "test_values": {"accuracy": 0.9} if request["evaluate_test"] else None,
    }


def _write(folder: Path, record: dict[str, Any], points: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(point)}\n" for point in points))
    beside = folder / "part.record.json"
    beside.write_text(json.dumps(record), encoding="utf-8")
    beside.replace(folder / "record.json")


if __name__ == "__main__":
    main()
