"""Commands without Keras: workers that speak the protocol, and train nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slipstream.measure import Launch
from slipstream.plan import Plan
from slipstream.task import TaskFacts

# Speaks the protocol; refuses plans of batch size 13 and warns of those of 14.
WORKER = """
import json, os, sys
facts, asked = json.loads(open(sys.argv[1]).read()), open(sys.argv[2], "a")
finding = {"check": "c", "severity": "warning", "what": "w", "where": "here", "mend": "m."}
for line in sys.stdin:
    numbered = json.loads(line)
    number, request = numbered["number"], numbered["request"]
    print(os.environ["KERAS_BACKEND"], request["do"], request.get("name", ""), file=asked,
          flush=True)
    kill = sys.argv[2] + ".kill"
    if os.path.exists(kill) and request["do"] in open(kill).read():
        os.remove(kill)
        os.kill(os.getpid(), 9)
    size = (request.get("plan") or {}).get("batch", {}).get("size")
    if request["do"] == "open":
        body = {"kind": "opened", "backend": "jax", "import_seconds": 0, "load_seconds": 0}
    elif request["do"] == "look":
        model = {"inputs": [], "outputs": [], "logged": []}
        body = {"kind": "looked", "task": facts, "model": model, "findings": [finding]}
    elif request["do"] == "quit":
        body = {"kind": "done"}
    elif size == 13:
        body = {"kind": "problem", "error": "PlanError", "expected": "luck", "came": "13",
                "mend": "Set another.", "message": "unlucky"}
    else:
        body = {"kind": "checked", "findings": [finding] if size == 14 else []}
    print(json.dumps({"number": number, "body": body}), flush=True)
"""
FACTS = TaskFacts(
    reference="digits", name="digits", fingerprint="f", data_hash="d", monitor="val_accuracy",
    mode="max", target=0.5, as_given=Plan(), kind="classification", num_train=10,
    num_validation=10, num_test=0, num_classes=2, input_shapes={}, input_dtypes={},
    output_shapes={}, parameters=1, multiply_adds=1, layers={},
)  # fmt: skip


@pytest.fixture
def facts() -> TaskFacts:
    return FACTS


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    monkeypatch.setattr("slipstream.measure.manager.require_backend", lambda name: None)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "facts.json").write_text(FACTS.model_dump_json())
    files = [str(tmp_path / name) for name in ("worker.py", "facts.json", "asked.txt")]
    return Launch("digits", command=(sys.executable, "-S", *files))


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], list[str]]:
    """Return a function that lists what workers were asked, and on which backend."""

    def read() -> list[str]:
        lines = (tmp_path / "asked.txt").read_text().splitlines()
        return [line.strip() for line in lines if "quit" not in line]

    return read
