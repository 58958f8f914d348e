"""A worker without Keras: speaks the protocol in plain JSON and misbehaves on command.

Run as `python fake_worker.py RULES [COUNTER]`. RULES is a JSON file: a list of rules
{"on": request, "when": {plan key: value}, "do": what, ...}; the first that fits is followed.
COUNTER is a file that gets one line for each request, to see who was asked what.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def flat(plan):
    return {f"{s}.{k}": v for s, values in plan.items() for k, v in values.items()}


def find_rule(rules, request):
    values = flat(request.get("plan") or {})
    values["backend"] = os.environ["KERAS_BACKEND"]
    for rule in rules:
        if rule["on"] == request["do"] and all(
            values.get(key) == value for key, value in rule.get("when", {}).items()
        ):
            return rule
    return {}


def misbehave(what):
    if what == "crash":
        print("the last words before the crash", file=sys.stderr, flush=True)
        os._exit(3)
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("child", child.pid, flush=True)
        time.sleep(600)


def main():
    rules = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print("chatter of a library")
    probe_speed = 1000.0
    for line in requests:
        numbered = json.loads(line)
        number, request = numbered["number"], numbered["request"]
        if len(sys.argv) > 2:
            with Path(sys.argv[2]).open("a", encoding="utf-8") as counter:
                counter.write(json.dumps({"pid": os.getpid(), **request}) + "\n")
        rule = find_rule(rules, request)
        misbehave(rule.get("do"))

        def say(body):
            replies.write(json.dumps({"number": number, "body": body}) + "\n")  # noqa: B023

        if rule.get("do") == "garbage":
            replies.write("Segmentation fault maybe\n")
            continue
        if rule.get("do") == "problem":
            say({"kind": "problem", **rule["problem"]})
            continue
        if request["do"] == "quit":
            say({"kind": "done"})
            return
        if request["do"] == "open":
            say(
                {
                    "kind": "opened",
                    "backend": os.environ["KERAS_BACKEND"],
                    "import_seconds": 0.1,
                    "load_seconds": 0.0,
                }
            )
        elif request["do"] == "probe":
            probe_speed = rule.get("speed", 1000.0)
            say({"kind": "probed", "compile_seconds": rule.get("compile", 0.5)})
        elif request["do"] == "measure":
            windows = [probe_speed * factor for factor in (0.1, 0.99, 1.0, 1.0, 1.01, 1.0)]
            say({"kind": "measured", "examples_per_second": windows, "peak_memory_bytes": 10})
        elif request["do"] == "train":
            train(request, rule, say, requests)
        elif request["do"] == "range_test":
            say({"kind": "ranged", "points": [[1e-3, 2.0], [1e-2, "NaN"]]})


def train(request, rule, say, requests):
    say({"kind": "started", "total_updates": 10, "updates_per_epoch": 5})
    outcome = "completed"
    for update in range(1, 11):
        say(
            {
                "kind": "progress",
                "update": update,
                "total_updates": 10,
                "epoch": update / 5,
                "seconds": 0.1 * update,
                "examples_per_second": 100.0,
            }
        )
        if rule.get("do") == "wait_for_stop" and update == 2:
            stop = json.loads(requests.readline())
            outcome = "stopped_early" if stop["request"]["do"] == "stop" else "failed"
            break
    point = {"step": 10, "epoch": 2.0, "seconds": 1.0, "values": {"val_accuracy": 0.9}}
    say({"kind": "evaluated", "point": point, "is_best": True, "learning_rate": 0.1})
    record = {**rule["record"], "outcome": outcome, "plan": request["plan"], "points": [point]}
    record["seed"] = request["plan"]["seeds"]["seed"]
    say({"kind": "trained", "record": record})


if __name__ == "__main__":
    main()
