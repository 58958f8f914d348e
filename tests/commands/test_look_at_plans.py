"""A look at several plans: each is checked in a process on its backend before anything else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slipstream.commands.look_at_plans import look_at_plans, past_checks
from slipstream.errors import PlanError, TrainingError
from slipstream.measure import Launch
from slipstream.plan import Plan
from slipstream.progress import Happening, Notice, StageDone
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
JAX = Plan().edit({"runtime.backend": "jax"})
TORCH = Plan().edit({"runtime.backend": "torch"})
FACTS = TaskFacts(
    reference="digits", name="digits", fingerprint="f", data_hash="d", monitor="val_accuracy",
    mode="max", target=0.5, as_given=Plan(), kind="classification", num_train=10,
    num_validation=10, num_test=0, num_classes=2, input_shapes={}, input_dtypes={},
    output_shapes={}, parameters=1, multiply_adds=1, layers={},
)  # fmt: skip


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    monkeypatch.setattr("slipstream.measure.manager.require_backend", lambda name: None)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "facts.json").write_text(FACTS.model_dump_json())
    files = [str(tmp_path / name) for name in ("worker.py", "facts.json", "asked.txt")]
    return Launch("digits", command=(sys.executable, "-S", *files))


def asked(folder: Path) -> list[str]:
    lines = (folder / "asked.txt").read_text().splitlines()
    return [line.strip() for line in lines if "quit" not in line]


def test_every_plan_is_checked_in_one_process_for_each_backend(
    launch: Launch, tmp_path: Path
) -> None:
    told: list[Happening] = []
    warned = JAX.edit({"batch.size": 14})
    look_at_plans(launch, {"plan a": JAX, "plan b": TORCH, "plan c": warned}, told.append)
    assert asked(tmp_path) == [
        "jax open", "jax look", "jax check plan a", "jax check plan c",
        "torch open", "torch look", "torch check plan b",
    ]  # fmt: skip
    # What the look and a plan's check both warn of is said once.
    assert [type(one) for one in told][1:] == [Notice, StageDone]


def test_a_plan_that_cannot_be_trained_is_refused(launch: Launch) -> None:
    with pytest.raises(PlanError, match="luck"):
        look_at_plans(launch, {"plan a": JAX, "plan b": JAX.edit({"batch.size": 13})})


def test_further_plans_are_told_apart_by_whether_they_can_be_trained(
    launch: Launch, tmp_path: Path
) -> None:
    def further(facts: TaskFacts) -> dict[str, Plan]:
        assert facts == FACTS
        return {"odd": JAX.edit({"batch.size": 13}), "even": JAX.edit({"batch.size": 14})}

    found = look_at_plans(launch, {"plan": JAX}, further=further)
    assert {name: error.came for name, error in found.refused.items()} == {"odd": "13"}
    assert asked(tmp_path)[2:] == ["jax check plan", "jax check odd", "jax check even"]
    assert (found.facts, len(found.warnings)) == (FACTS, 1)


def test_what_is_refused_after_a_training_is_a_failure() -> None:
    with pytest.raises(TrainingError, match="luck") as caught, past_checks():
        raise PlanError("luck", "13", "Set another.")
    assert caught.value.exit_code == 1
